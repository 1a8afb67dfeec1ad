"""Rows and buckets are read from what the face stage hands over."""

import numpy as np

from idgen.sampling.rows import Bucket, SampleRow

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
