"""Copies between host and GPU; what only a GPU shows is in tests/gpu/test_transfers_on_cuda.py."""

import pytest
import torch

from idgen.networks.transfers import Downloads, upload

CPU = torch.device("cpu")


def test_on_the_cpu_nothing_is_copied():
    tensor = torch.arange(6.0).view(2, 3)
    assert upload(tensor, CPU) is tensor
    assert upload(tensor, "cpu", torch.float32) is tensor
    downloads = Downloads()
    assert downloads.add(tensor) is tensor
    downloads.wait()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_cast_is_torch_s_own(dtype):
    tensor = torch.randn(64, generator=torch.Generator().manual_seed(1))
    assert torch.equal(upload(tensor, CPU, dtype), tensor.to(dtype))


def test_strides_travel():
    """Convolutions take other strides for another layout, and round apart."""
    tensor = torch.zeros(2, 4, 5, 3).permute(0, 3, 1, 2)
    assert upload(tensor, torch.device("meta")).stride() == tensor.stride()


class Pinned:
    """Records what is asked of a tensor that starts on the CPU and goes to a GPU that is not here."""

    device = CPU

    def __init__(self, asked):
        self._asked = asked

    def pin_memory(self):
        self._asked.append("pin_memory")
        return self

    def to(self, *args, **kwargs):
        self._asked.append((*args, *kwargs.items()))
        return self


def test_to_a_gpu_it_is_cast_then_pinned_then_queued():
    """In this order: what is cast on the way is copied into plain memory first, pinned or not."""
    asked = []
    upload(Pinned(asked), "cuda", torch.float16)
    assert asked == [
        (("dtype", torch.float16),),
        "pin_memory",
        (torch.device("cuda"), ("non_blocking", True)),
    ]
