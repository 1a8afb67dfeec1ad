"""What only a CUDA device can show; runs where one is lent: `pytest -m gpu`."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from doubles.tiny_recipe import BUCKET, TINY, person, row

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
    for one, picture in zip(ROWS, together, strict=True):
        (alone,) = loaded.sample([one], BUCKET)
        assert np.abs(alone.astype(int) - picture).mean() < {"float32": 0.5}.get(dtype, 8)


def test_the_picture_is_the_cpu_s():
    there, here = sampler("float32").sample(ROWS, BUCKET), sampler("float32", "cpu").sample(ROWS, BUCKET)
    for a, b in zip(there, here, strict=True):
        assert np.abs(a.astype(int) - b).mean() < 1
