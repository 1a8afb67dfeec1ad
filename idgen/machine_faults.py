"""Errors that come from the machine (disk, memory, libraries), not from the file that was being read."""

import errno
import re
from collections.abc import Iterator

SHORTAGES = ("out of memory", "allocate memory", "enough memory", "alloc_failed", "allocation_failed")
"""In what CUDA, cuBLAS, cuDNN and the CPU's allocator say, in lower case; only PyTorch's own has a class for it."""

NODE_ERRORS = (
    errno.EIO, errno.ESTALE, errno.ENOSPC, errno.EMFILE, errno.ENFILE, errno.ETIMEDOUT, errno.EACCES, errno.EPERM,
)  # fmt: skip
"""What a disk, a network file system, a full table of files or the rights of this process say."""

_DEVICE = re.compile(r"\bCUDA (error|failure)\b|\bcuDNN\b|\bCUBLAS\b|\bcublas[A-Z]")


def is_shortage(error: BaseException) -> bool:
    """True when `error` says that memory ran out, whichever library says it."""
    words = str(error).lower()
    named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return named or any(phrase in words for phrase in SHORTAGES)


def is_of_this_node(error: BaseException) -> bool:
    """True when the machine failed, not what was read: the device's driver, or a file system."""
    return bool(_DEVICE.search(str(error))) or (isinstance(error, OSError) and error.errno in NODE_ERRORS)


def machine_fault(error: BaseException) -> BaseException | None:
    """Return what the machine's fault is among the errors that `error` came from, itself included; None = none is.

    Those who read files turn many libraries' errors into one of ours, whose cause the library's error is.
    """
    for seen in _chain(error):
        if isinstance(seen, ImportError) or is_shortage(seen) or is_of_this_node(seen):
            return seen
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__
