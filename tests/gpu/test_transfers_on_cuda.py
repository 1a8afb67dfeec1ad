"""Copies between host and a CUDA device, and what waits for it: `pytest -m gpu`."""

import warnings
from dataclasses import replace

import pytest
import torch
from doubles.tiny_recipe import BUCKET, TINY, row

from idgen.networks.transfers import Downloads, upload
from idgen.sampling.decoding import decode
from idgen.sampling.sampler import Sampler

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]


@pytest.fixture
def waits():
    """Says what waits for the device: every such call is a warning with these words."""
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("warn")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield lambda: [str(one.message) for one in caught if "synchronizing CUDA operation" in str(one.message)]
    torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("dtype", [None, torch.float16])
def test_an_upload_arrives_whole_and_waits_for_nothing(waits, dtype):
    tensors = [torch.randn(n, 3, 64, 64).permute(0, 2, 3, 1) for n in (1, 8)]
    there = [upload(tensor, "cuda", dtype) for tensor in tensors]
    assert waits() == []
    for one, other in zip(there, tensors, strict=True):
        assert one.stride() == other.stride()
        assert torch.equal(one.cpu(), other.to(dtype or other.dtype))


def test_downloads_arrive_whole_in_pinned_memory_with_one_wait(waits):
    there = [torch.full((1024, 1024, 3), n, dtype=torch.uint8, device="cuda") for n in range(5)]
    downloads = Downloads()
    here = [downloads.add(tensor) for tensor in there]
    assert waits() == []
    downloads.wait()
    assert all(tensor.is_pinned() for tensor in here)
    assert [int(tensor.min()) for tensor in here] == [int(tensor.max()) for tensor in here] == list(range(5))


@torch.inference_mode()
def test_decoding_a_batch_waits_for_nothing_but_its_downloads(waits):
    vae = Sampler.load(TINY, lora_scale=1.0, device="cuda").pipeline.vae
    latents = torch.randn(5, 4, 8, 8, device="cuda")
    latents[3] = torch.nan
    decode(vae, latents)  # what is made at the first call
    before = len(waits())
    made = decode(vae, latents)
    assert waits()[before:] == []
    assert [picture is None for picture in made] == [False, False, False, True, False]


@pytest.mark.parametrize(("scheduler", "per_step"), [("ddim", 0), ("euler", 0), ("dpmpp_2m_karras", 0), ("lcm", 1)])
def test_the_steps_of_a_batch_wait_as_often_as_was_counted_without_a_gpu(waits, scheduler, per_step):
    """tests/sampling/test_host_syncs.py counts them on tensors that are nowhere."""
    sampler = Sampler.load(TINY, lora_scale=1.0, device="cuda")
    counts = []
    for steps in (4, 8):
        bucket = replace(BUCKET, scheduler=scheduler, num_inference_steps=steps)
        conditions = sampler.condition([row(seed=1), row(seed=2)], bucket)
        sampler.denoise(conditions, bucket)
        before = len(waits())
        sampler.denoise(conditions, bucket)
        counts.append(len(waits()) - before)
    assert counts[1] - counts[0] == 4 * per_step
