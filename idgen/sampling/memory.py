"""Memory of the device: whether an error says that it ran out, and giving it back."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from idgen.errors import Exit, RunError
from idgen.sampling.devices import check_device

SHORTAGES = ("out of memory", "allocate memory", "enough memory", "alloc_failed", "allocation_failed")
"""In what CUDA, cuBLAS, cuDNN and the CPU's allocator say, in lower case; only PyTorch's own has a class for it."""


def give_back_memory(device: torch.device) -> None:
    """Collect what nobody holds any more, and let go of the device memory that torch keeps for later."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def is_shortage(error: Exception) -> bool:
    """True when `error` says that memory ran out, whichever library says it."""
    words = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(phrase in words for phrase in SHORTAGES)


@contextmanager
def loading(what: str, device: str) -> Iterator[None]:
    """Turn what goes wrong while weights are loaded into RunError.

    There is no `device`, `what` does not fit it, or cannot be read.
    """
    check_device(device)
    try:
        yield
    except RunError:
        raise
    except Exception as error:  # many libraries read weights, and each has errors of its own
        reason = str(error).partition("\n")[0][:200] or type(error).__name__
        if is_shortage(error):
            raise RunError(Exit.UNAVAILABLE, f"{what} does not fit the memory of {device}: {reason}") from error
        raise RunError(Exit.USAGE, f"{what} cannot be loaded: {type(error).__name__}: {reason}") from error
