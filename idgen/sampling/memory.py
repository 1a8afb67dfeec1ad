"""Memory of the device and of the host: freeing it, and the errors when loading runs out of it."""

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import torch

from idgen.errors import Exit, RunError
from idgen.machine_faults import is_of_this_node, is_shortage
from idgen.sampling.devices import check_device

LARGE_BLOCK_BYTES = 8 * 2**20
_M_MMAP_THRESHOLD = -3
"""mallopt's name for the size from which on blocks are mapped one by one."""


def give_back_memory(device: torch.device) -> None:
    """Collect what nobody holds any more, and let go of the device memory that torch keeps for later."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def give_back_large_blocks() -> None:
    """Let this process give every block of 8 MB and more back to the system as soon as it is free (glibc).

    By itself glibc keeps freed blocks of up to 32 MB for later, and lets small ones settle in them: of the float32
    copies that matrices are multiplied in one by one (networks/stored.py) all of them stayed, 1.4 GB on SDXL.
    """
    with suppress(OSError, AttributeError):  # another C library has other habits
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES)


@contextmanager
def loading(what: str, device: str) -> Iterator[None]:
    """Turn what goes wrong while weights are loaded into RunError, and keep no large free blocks from then on.

    Raises it when `device` is not there, when `what` does not fit it, or when it cannot be read: UNAVAILABLE for what
    another node or another time may do, USAGE for the rest.
    """
    check_device(device)
    give_back_large_blocks()
    try:
        yield
    except RunError:
        raise
    except Exception as error:  # many libraries read weights, and each has errors of its own
        reason = str(error).partition("\n")[0][:200] or type(error).__name__
        if is_shortage(error):
            raise RunError(Exit.UNAVAILABLE, f"{what} does not fit the memory of {device}: {reason}") from error
        if is_of_this_node(error):
            raise RunError(Exit.UNAVAILABLE, f"this node failed while {what} was loaded: {reason}") from error
        raise RunError(Exit.USAGE, f"{what} cannot be loaded: {type(error).__name__}: {reason}") from error
