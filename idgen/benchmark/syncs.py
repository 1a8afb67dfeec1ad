"""How often the host waits for the device: on CUDA as torch warns of it, elsewhere as sampling/host_syncs.py counts."""

import contextlib
import warnings
from collections.abc import Callable, Iterator

import torch

from idgen.sampling.host_syncs import HostSyncs

WARNING = "synchronizing CUDA operation"


class Count:
    """How many there were."""

    def __init__(self) -> None:
        self.number = 0


@contextlib.contextmanager
def counted(device: torch.device) -> Iterator[Count]:
    """Count the waits for tensors of `device` in the block."""
    count = Count()
    if device.type != "cuda":
        with HostSyncs(device) as seen:
            yield count
        count.number = seen.counts.total()
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
