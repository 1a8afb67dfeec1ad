"""A GPU that torch does not have is told in words, before anything is loaded."""

import pytest
import torch
from doubles.tiny_recipe import TINY, recipe

from idgen.errors import Exit, RunError
from idgen.recipes.recipe import Base
from idgen.sampling import bases
from idgen.sampling.bases import load_encoder
from idgen.sampling.devices import check_device
from idgen.sampling.sampler import Sampler

without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="torch sees a GPU here")
cpu_build = pytest.mark.skipif(torch.version.cuda is not None, reason="torch is a CUDA build here")
KOLORS = Base(kind="kolors", weights="tiny:kolors", dtype="float32")


def message_of(action):
    with pytest.raises(RunError) as caught:
        action()
    assert caught.value.exit_code == Exit.USAGE
    assert "\n" not in caught.value.message
    assert torch.__version__ in caught.value.message
    return caught.value.message


@cpu_build
@pytest.mark.parametrize("visible", [None, "0"])
@pytest.mark.parametrize(
    "load", [lambda: Sampler.load(TINY, lora_scale=1.0, device="cuda"), lambda: load_encoder(KOLORS, "cuda")]
)
def test_a_cpu_build_of_torch_says_so_and_reads_no_weights(monkeypatch, load, visible):
    monkeypatch.setattr(bases, "load", lambda *_: pytest.fail("weights were read"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    message = message_of(load)
    assert "built for the CPU only" in message
    assert f"CUDA_VISIBLE_DEVICES is {'not set' if visible is None else repr(visible)}" in message
    assert "install torch's CUDA build" in message
    assert "sampling.num_gpus=0" in message


@without_gpu
@pytest.mark.parametrize(
    ("visible", "remedy"),
    [("", "sampling.num_gpus"), ("NoDevFiles", "sampling.num_gpus"), ("-1", "texts.num_gpus"), ("3", "nvidia-smi")],
)
def test_a_cuda_build_that_sees_no_gpu_tells_hidden_ones_from_a_driver(monkeypatch, visible, remedy):
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    message = message_of(lambda: check_device("cuda"))
    assert "built for CUDA 13.0" in message
    assert f"is {visible!r}: " in message
    assert remedy in message.rpartition(": ")[2]


def test_one_gpu_is_not_two(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    check_device("cuda")
    check_device("cuda:0")
    assert "device cuda:1" in message_of(lambda: check_device("cuda:1"))


def test_other_devices_are_not_asked_about(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: pytest.fail("asked"))
    check_device("cpu")
    assert Sampler.load(recipe("faceid_sd15"), lora_scale=1.0, device="cpu").device == torch.device("cpu")
