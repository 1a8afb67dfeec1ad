"""How often the host waits for the device: on CUDA as torch warns of it, on a CPU the calls that would wait."""

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

WAITING = ("aten::_local_scalar_dense", "aten::nonzero", "aten::is_nonzero", "aten::equal", "aten::masked_select")
"""What needs a tensor's number before the host can go on, as `.item()`: on a CPU an upper bound, as it counts those of
the schedulers' tables too, which lie on the host everywhere."""
WARNING = "synchronizing CUDA operation"


class Count:
    """How many there were."""

    def __init__(self) -> None:
        self.number = 0


class _Calls(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves some untyped
    """Counts calls that would wait, and hands everything on."""

    def __init__(self, count: Count) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = count

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401
        self.count.number += func.name().partition(".")[0] in WAITING
        return func(*args, **(kwargs or {}))


@contextlib.contextmanager
def counted(device: torch.device) -> Iterator[Count]:
    """Count the waits of the block."""
    count = Count()
    if device.type != "cuda":
        with _Calls(count):
            yield count
        return
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            yield count
    finally:
        torch.cuda.set_sync_debug_mode("default")
    count.number = sum(WARNING in str(one.message) for one in heard)


def per_step(call: Callable[[int], object], steps: int, device: torch.device) -> tuple[float, float]:
    """Return the waits of one step, and those of a whole call beside its steps; `call(n)` runs n steps."""
    found = []
    for number in (steps, 2 * steps):
        with counted(device) as count:
            call(number)
        found.append(count.number)
    each = (found[1] - found[0]) / steps
    return each, found[0] - each * steps
