"""What this machine cannot do for a run, in one line: room in the temporary folder, memory for the plan."""

import errno
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb
import pyarrow as pa

from idgen.errors import Exit, MachineError, RunError
from idgen.outputs.ledger import LedgerUnreadableError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
_SAYS_FULL = re.compile(r"No space left on device|quota exceeded|File too large|max_temp_directory_size", re.IGNORECASE)
_SAYS_MEMORY = re.compile(r"Out of Memory Error|OutOfMemoryException")


@contextmanager
def machine_errors(memory_mb: int) -> Iterator[None]:
    """Turn what breaks in the block over the temporary folder or DuckDB's `memory_mb` into RunError, all else stays.

    Errors of the output are StoreErrors, but those of reading the ledger: DuckDB spills while it reads.
    """
    try:
        yield
    except (OSError, duckdb.Error, pa.ArrowException, LedgerUnreadableError) as error:
        told = _told(error, memory_mb)
        if told is None:
            raise
        raise told from error


def _told(error: BaseException, memory_mb: int) -> RunError | None:
    words = str(error)
    if getattr(error, "errno", None) in _FULL or _SAYS_FULL.search(words):
        folder = tempfile.gettempdir()
        cause = "; ".join(words.splitlines())[:200]
        return MachineError(Exit.UNAVAILABLE, f"{folder} is full: make room, or set TMPDIR to another folder ({cause})")
    if _SAYS_MEMORY.search(words):
        return RunError(Exit.USAGE, f"planner.memory_mb={memory_mb} is too little for this manifest: raise it")
    return None
