"""What only a CUDA device can show; runs where one is lent: `pytest -m gpu`."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from doubles.tiny_recipe import BUCKET, TINY, adapter, control, person, picture, recipe, row, row_for

from idgen.sampling.rows import ControlUse
from idgen.sampling.sampler import Sampler

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
ROWS = [row(key=str(i), prompt=f"prompt {i}", seed=i, id_embedding=person(i), ip_adapter_scale=i / 2) for i in range(3)]


def sampler(dtype, device="cuda"):
    base = replace(TINY.base, dtype=dtype, vae_dtype="float32")
    return Sampler.load(replace(TINY, base=base), lora_scale=1.0, device=device)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_a_batch_equals_its_rows_alone(dtype):
    loaded = sampler(dtype)
    together = loaded.sample(ROWS, BUCKET)
    for one, beside in zip(ROWS, together, strict=True):
        (alone,) = loaded.sample([one], BUCKET)
        assert np.abs(alone.astype(int) - beside).mean() < {"float32": 0.5}.get(dtype, 8)


def test_the_picture_is_the_cpu_s():
    there, here = sampler("float32").sample(ROWS, BUCKET), sampler("float32", "cpu").sample(ROWS, BUCKET)
    for a, b in zip(there, here, strict=True):
        assert np.abs(a.astype(int) - b).mean() < 1


WAYS = {
    "text": {},
    "image": {"strength": 0.6},
    "control": {"controls": (ControlUse(name="pose", scale=0.8),)},
    "image and control": {"strength": 0.6, "controls": (ControlUse(name="pose", scale=0.8),)},
}


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
@pytest.mark.parametrize("way", WAYS)
def test_every_pipeline_with_an_image_encoder_works_in_the_recipes_own_precision(family, way):
    """Embedding, aligned face and picture prompt; UNet, text and image encoders in float16, the VAE in float32."""
    one = recipe(f"faceid_plusv2_{family}", controls=[control(family)])
    one = replace(one, adapters=[*one.adapters, adapter("ip_adapter_plus", family)])
    one = replace(one, base=replace(one.base, dtype="float16", vae_dtype="float32"))
    loaded = Sampler.load(one, lora_scale=1.0, device="cuda")
    rows = [
        row_for(one, n, init_image=picture(n, 1, 64)[0], control_images={"pose": picture(9 + n, 1, 64)[0]})
        for n in (1, 2)
    ]
    for scheduler in ("ddim", "euler_a", "lcm"):
        bucket = replace(BUCKET, scheduler=scheduler, **WAYS[way])
        first, second = loaded.sample(rows, bucket)
        assert isinstance(first, np.ndarray)
        assert not np.array_equal(first, second)
