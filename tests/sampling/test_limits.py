"""What does not fit: memory that runs out, weights that do not load, prompts that are too long."""

import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch
from doubles.tiny_recipe import BUCKET, TINY, recipe, row, row_for

from idgen.errors import Exit, RunError
from idgen.machine_faults import is_shortage
from idgen.sampling.batches import OutOfMemory
from idgen.sampling.sampler import Sampler

ROWS = [row(seed=seed) for seed in range(3)]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried ..."),
    ],
)
def test_running_out_of_memory_lets_go_of_the_batch_and_says_so(sampler, monkeypatch, error):
    def fail(*_args, **_kwargs):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(sampler.pipeline.unet, "forward", fail)
        with pytest.raises(OutOfMemory) as caught:
            sampler.sample(ROWS, BUCKET)
    assert caught.value.__context__ is None
    assert all(branch.key is None for branch in sampler.adapters[0].branches)
    assert isinstance(sampler.sample(ROWS[:1], BUCKET)[0], np.ndarray)


@pytest.mark.parametrize("rows", [1, 2])
def test_a_batch_that_does_not_fit_is_tried_again_with_empty_caches(sampler, monkeypatch, rows):
    fresh = Sampler(sampler.base, sampler.adapters, sampler.device)
    expected = fresh.sample(ROWS[:rows], BUCKET)[0]
    plain, calls = fresh.pipeline.unet.forward, []

    def fail_once(*args, **kwargs):
        calls.append(len(fresh.conditioner.prompts._entries))
        if len(calls) == 1:
            raise RuntimeError("CUDA error: out of memory")
        return plain(*args, **kwargs)

    fresh.conditioner.prompts.get(["another"])
    with monkeypatch.context() as patch:
        patch.setattr(fresh.pipeline.unet, "forward", fail_once)
        assert np.array_equal(fresh.sample(ROWS[:rows], BUCKET)[0], expected)
    assert calls[:2] == [3, 2]
    assert fresh.counts.sampler_calls == 2


def test_a_sampler_that_is_dropped_gives_its_weights_back_at_once():
    """Two recipes do not fit side by side, and the collector of cycles comes when it comes."""
    gone = Sampler.load(recipe("faceid_plusv2_sd15"), lora_scale=1.0, device="cpu")
    gone.sample([row_for(recipe("faceid_plusv2_sd15"))], BUCKET)
    parts = [
        gone.pipeline.unet,
        gone.pipeline.text_encoder,
        gone.pipeline.vae,
        *gone.adapters,
        gone.adapters[0].encoder,
    ]
    left = [weakref.ref(part) for part in parts]
    del parts
    gc.collect()  # of loading
    gc.disable()
    try:
        gone.release()
        del gone
        assert [one() for one in left] == [None] * 5
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("CUDA out of memory. Tried to allocate 2.00 GiB", True),
        ("CUDA error: out of memory\nCUDA kernel errors might be reported later", True),
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", True),
        ("cuDNN error: CUDNN_STATUS_ALLOC_FAILED", True),
        ("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED", True),
        ("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried", True),
        ("CUDA error: an illegal memory access was encountered", False),
        ("CUDA error: device-side assert triggered", False),
        ("mat1 and mat2 shapes cannot be multiplied", False),
    ],
)
def test_shortages_are_told_from_other_errors_by_their_words(text, short):
    assert is_shortage(RuntimeError(text)) == short


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), Exit.UNAVAILABLE),
        (RuntimeError("CUDA error: out of memory"), Exit.UNAVAILABLE),
        (AttributeError("'NoneType' object has no attribute 'keys'"), Exit.USAGE),
        (AssertionError("Torch not compiled with CUDA enabled"), Exit.USAGE),
    ],
)
def test_whatever_goes_wrong_in_loading_stops_the_run_and_names_the_recipe(monkeypatch, error, code):
    monkeypatch.setattr("idgen.sampling.families.sd15.Sd15.place", lambda *_: (_ for _ in ()).throw(error))
    with pytest.raises(RunError, match=f"recipe tiny .*{error}") as caught:
        Sampler.load(TINY, lora_scale=1.0, device="cpu")
    assert caught.value.exit_code == code


def test_prompts_too_long_for_the_text_encoder_are_told(sampler):
    long = "a dog " * 60
    rows = [row(prompt="short"), row(prompt=long), row(prompt="x", negative_prompt=long), row(negative_prompt=None)]
    sampler.sample(rows, BUCKET)
    calls = sampler.counts.prompt_encodings
    none, first, second, null = sampler.warnings(rows, BUCKET)
    (sentence,) = first
    ids = sampler.pipeline.tokenizer(long).input_ids
    assert sentence == f"prompt_cut: the last {len(ids) - 77} tokens have no effect"
    assert second == [f"negative_{sentence}"]
    assert none == null == []
    assert sampler.warnings(rows, replace(BUCKET, guidance_scale=1.0))[2] == []
    assert sampler.counts.prompt_encodings == calls


def test_a_prompt_that_just_fits_is_not_cut(sampler):
    lengths = {count: len(sampler.pipeline.tokenizer("a " * count).input_ids) for count in range(1, 80)}
    fits = max(count for count, tokens in lengths.items() if tokens <= 77)
    assert sampler.base.encode("a " * fits).tokens_cut == 0
    assert sampler.base.encode("a " * (fits + 1)).tokens_cut == lengths[fits + 1] - 77 > 0
