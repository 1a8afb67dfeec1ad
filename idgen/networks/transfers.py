"""Tensors between host and GPU, without the waits that torch's plain copies bring.

`tensor.to("cuda")` and `tensor.cpu()` wait until everything that the GPU was given is done, and it idles while the host
then catches up. Copies of pinned host memory are only queued. On the CPU nothing is copied.
"""

import torch
from torch import Tensor


def upload(tensor: Tensor, device: torch.device | str, dtype: torch.dtype | None = None) -> Tensor:
    """Return `tensor` on `device`, cast to `dtype` before it travels; whoever uses it there need not wait.

    The pinned copy may be let go of at once: torch keeps its memory from others until the GPU has read it.
    """
    device = torch.device(device)
    tensor = tensor if dtype is None else tensor.to(dtype=dtype)
    if tensor.device.type != "cpu":
        return tensor.to(device)
    return (tensor.pin_memory() if device.type == "cuda" else tensor).to(device, non_blocking=True)


class Downloads:
    """Copies from the GPU to pinned host memory, and one wait for all of them."""

    def __init__(self) -> None:
        self._device: torch.device | None = None

    def add(self, tensor: Tensor) -> Tensor:
        """Return `tensor` in host memory, where its values are there after `wait`."""
        if tensor.device.type != "cuda":
            return tensor
        host = torch.empty_like(tensor, device="cpu", pin_memory=True)
        host.copy_(tensor, non_blocking=True)
        self._device = tensor.device
        return host

    def wait(self) -> None:
        """Wait until everything that was added has arrived."""
        if self._device is None:
            return
        # the thread sleeps instead of asking again and again: the publishers need its core
        arrived = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        arrived.record(torch.cuda.current_stream(self._device))
        arrived.synchronize()
