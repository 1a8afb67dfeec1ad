"""InstantID, PuLID and EcomID with all their nets on a CUDA device: `pytest -m gpu`."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from doubles import tiny_ecomid
from doubles.tiny_recipe import bucket_for, recipe, row_for

from idgen.sampling.sampler import Sampler

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
DEVICE = "cuda"


def load(made, dtype, device=DEVICE):
    base = replace(made.base, dtype=dtype, vae_dtype="float32")
    return Sampler.load(replace(made, base=base), lora_scale=1.0, device=device)


@pytest.mark.parametrize("kind", ["instantid", "pulid_v1", "pulid_v1_1", "ecomid"])
def test_tokens_are_the_cpu_s_and_people_differ_in_the_recipes_own_precision(kind):
    made = recipe(kind)
    rows, bucket = [row_for(made, number) for number in (1, 2)], bucket_for(made)
    there, here = load(made, "float16"), load(made, "float32", "cpu")
    on_device, on_cpu = (sampler.condition(rows, bucket) for sampler in (there, here))
    pairs = [(on_device.tokens[0], on_cpu.tokens[0]), (on_device.context, on_cpu.context)]
    for one, other in pairs:
        if one is not None:
            assert (one.cpu() - other).abs().max() < 1e-3 * max(1, other.abs().max())
    first, second = there.sample(rows, bucket)
    assert isinstance(first, np.ndarray)
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("bucket", [tiny_ecomid.BUCKET, tiny_ecomid.FROM_IMAGE], ids=["from noise", "from an image"])
@pytest.mark.parametrize("guidance", [5.0, 0.0])
def test_ecomid_with_inpaint_and_softedge_keeps_rows_apart_in_half_precision(bucket, guidance):
    sampler, bucket = load(tiny_ecomid.ECOMID, "float16"), replace(bucket, guidance_scale=guidance)
    together = sampler.sample(tiny_ecomid.ROWS, bucket)
    for one, beside in zip(tiny_ecomid.ROWS, together, strict=True):
        (alone,) = sampler.sample([one], bucket)
        assert np.abs(alone.astype(int) - beside).mean() < 8
    sampler.release()
    assert all(branch.key is None for branch in sampler.adapters[0].branches)
