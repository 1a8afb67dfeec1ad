"""Rows and buckets are read from what the face stage hands over."""

import io

import numpy as np
import pytest
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
    used = {"control_pose_uri": "p.png", "control_pose_scale": 1.0}
    bucket = Bucket.from_picture({**PICTURE, **used, "control_guidance_start": None, **shares})
    assert int(10 * shares["strength"]) == 6
    assert (bucket.strength, bucket.controls[0].end, bucket.controls[0].start) == (0.7, 0.7, None)


def test_a_control_is_used_where_its_scale_is_resolved():
    assert Bucket.from_picture({**PICTURE, "control_pose_uri": "p.png", "init_image_uri": "i.png"}).controls == ()
    resolved = {
        "control_softedge_uri": "s.png", "control_softedge_scale": 0.6, "control_inpaint_scale": 0.5,
        "controlnet_conditioning_scale": 0.3, "control_guidance_end": 0.5,
    }  # fmt: skip
    assert Bucket.from_picture({**PICTURE, **resolved}).controls == (
        ControlUse(name="identity", scale=1.0, end=0.5),  # its strength is the row's
        ControlUse(name="inpaint", scale=0.5, end=0.5),
        ControlUse(name="softedge", scale=0.6, end=0.5),
    )


@pytest.mark.parametrize(("said", "wanted"), [("auto", True), ("off", False), (None, False)])
def test_a_bucket_says_whether_small_faces_are_sampled_again(said, wanted):
    assert Bucket.from_picture({**PICTURE, "face_pass": said}).face_pass is wanted


@pytest.mark.parametrize(("scale", "wanted"), [(0.0, 0.0), (0.3, 0.3), (None, 1.0)])
def test_identitynets_strength_is_the_rows_and_0_is_one(scale, wanted):
    assert SampleRow.from_picture({**PICTURE, "controlnet_conditioning_scale": scale}).identity_scale == wanted


def test_a_row_knows_its_mask_its_keypoints_and_whether_to_paste_back():
    image = np.random.default_rng(1).integers(0, 256, (6, 4, 3), np.uint8)
    mask = np.random.default_rng(2).integers(0, 256, (6, 4), np.uint8)
    images = [
        ("init_image_uri", png(image)), ("mask_image_uri", png(mask)), ("face_keypoints", png(image[::-1]))
    ]  # fmt: skip
    row = SampleRow.from_picture({**PICTURE, "images": images, "paste_back": True})
    assert np.array_equal(row.mask, mask)
    assert np.array_equal(row.init_image, image)
    assert list(row.control_images) == ["identity"]
    assert np.array_equal(row.control_images["identity"], image[::-1])
    assert row.paste_back
    plain = SampleRow.from_picture(PICTURE)
    assert plain.mask is None
    assert not plain.paste_back
    colour = [("init_image_uri", png(image)), ("mask_image_uri", png(mask[..., None].repeat(3, -1)))]
    assert np.array_equal(SampleRow.from_picture({**PICTURE, "images": colour}).mask, mask)


def test_a_row_knows_the_sizes_it_tells_and_that_0_is_one():
    told = {"original_width_px": 900, "original_height_px": 1200, "crop_top_px": 0, "crop_left_px": 3}
    row = SampleRow.from_picture({**PICTURE, **told, "target_width_px": None})
    assert row.told_sizes == told
    assert SampleRow.from_picture(PICTURE).told_sizes == {}


def test_a_row_for_which_no_face_was_looked_for_has_no_embedding():
    row = SampleRow.from_picture({**PICTURE, "id_embedding": None})
    assert row.id_embedding.shape == (0, 512)


def test_crops_and_images_come_back_as_they_were_sent():
    crops = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
    image = np.random.default_rng(1).integers(0, 256, (6, 4, 3), np.uint8)
    row = SampleRow.from_picture(
        {**PICTURE, "crops": [("face", [crop.tobytes() for crop in crops])],
         "images": [("init_image_uri", png(image)), ("control_depth_uri", png(image))]}
    )  # fmt: skip
    assert np.array_equal(row.crops["face"], crops)
    assert np.array_equal(row.init_image, image)
    assert list(row.control_images) == ["depth"]


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()
