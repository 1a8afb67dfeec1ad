"""Rows and buckets are read from what the face stage hands over."""

import io

import numpy as np
from PIL import Image

from idgen.sampling.rows import Bucket, ControlUse, SampleRow

PICTURE = {
    "key": "k", "prompt": "p", "negative_prompt": None, "seed": 5, "id_embedding": list(range(1024)),
    "ip_adapter_scale": 0.0, "ip_adapter_scales": [("plus", 0.5)], "shortcut_scale": 2.0, "width": 512, "height": 768,
    "num_inference_steps": 30, "scheduler": "ddim", "guidance_scale": 7.5,
}  # fmt: skip


def test_a_row_keeps_zero_scales_and_null_negatives():
    row = SampleRow.from_picture(PICTURE)
    assert row.ip_adapter_scale == 0.0
    assert row.negative_prompt is None
    assert (row.scale("faceid", 0), row.scale("plus", 1), row.scale("other", 2)) == (0.0, 0.5, 1.0)
    assert row.options == {"shortcut_scale": 2.0}
    assert row.id_embedding.dtype == np.float32
    assert np.array_equal(row.id_embedding[1], np.arange(512, 1024))


def test_a_scale_by_name_goes_before_the_general_one_also_for_the_first_adapter():
    row = SampleRow.from_picture({**PICTURE, "ip_adapter_scale": 1.0, "ip_adapter_scales": [("faceid", 0.0)]})
    assert (row.scale("faceid", 0), row.scale("other", 0)) == (0.0, 1.0)


def test_a_null_scale_is_full_strength():
    assert SampleRow.from_picture({**PICTURE, "ip_adapter_scale": None}).ip_adapter_scale == 1.0


def test_a_bucket_counts_references():
    assert Bucket.from_picture(PICTURE) == Bucket(
        width=512, height=768, num_inference_steps=30, scheduler="ddim", guidance_scale=7.5, n_references=2
    )


def test_a_bucket_knows_its_controls_and_its_strength():
    bucket = Bucket.from_picture(
        {**PICTURE, "strength": 0.5, "control_pose_uri": "p.png", "control_pose_scale": 0.0,
         "control_canny_uri": "c.png", "control_canny_scale": 0.25,
         "control_guidance_start": 0.0, "control_guidance_end": None}
    )  # fmt: skip
    assert bucket.strength == 0.5
    assert bucket.controls == (
        ControlUse(name="pose", scale=0.0, start=0.0), ControlUse(name="canny", scale=0.25, start=0.0)
    )  # fmt: skip


def test_shares_of_the_steps_are_what_was_written_not_what_float32_made_of_them():
    shares = {name: float(np.float32(0.7)) for name in ("strength", "control_guidance_end")}
    bucket = Bucket.from_picture({**PICTURE, "control_pose_uri": "p.png", "control_guidance_start": None, **shares})
    assert int(10 * shares["strength"]) == 6
    assert (bucket.strength, bucket.controls[0].end, bucket.controls[0].start) == (0.7, 0.7, None)


def test_a_row_for_which_no_face_was_looked_for_has_no_embedding():
    row = SampleRow.from_picture({**PICTURE, "id_embedding": None})
    assert row.id_embedding.shape == (0, 512)


def test_crops_and_images_come_back_as_they_were_sent():
    crops = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
    image = np.random.default_rng(1).integers(0, 256, (6, 4, 3), np.uint8)
    png = io.BytesIO()
    Image.fromarray(image).save(png, "PNG")
    row = SampleRow.from_picture(
        {**PICTURE, "crops": [("face", [crop.tobytes() for crop in crops])],
         "images": [("init_image_uri", png.getvalue()), ("control_depth_uri", png.getvalue())]}
    )  # fmt: skip
    assert np.array_equal(row.crops["face"], crops)
    assert np.array_equal(row.init_image, image)
    assert list(row.control_images) == ["depth"]
