"""Ledger files that cannot be read any more: found, named and set aside, so that the next run makes their rows again.

A file is judged by a whole copy of it: what breaks while it is copied is the store's fault, what breaks in the copy is
the file's. So a store that is away for a moment never costs a row.
"""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds

from idgen.errors import Exit, RunError
from idgen.outputs.ledger import COMPACT_PREFIX, LEDGER_DIR, LedgerUnreadableError, ledger_files
from idgen.schemas import LEDGER
from idgen.scratch import scratch_folder
from idgen.stores.protocol import ObjectMissing, ObjectStore, StoreError
from idgen.stores.reading import reading

DAMAGED_DIR = "ledger/damaged/"
_THREADS = 8
_ROWS_READ = 8_192
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class DamagedFile:
    """A ledger file whose rows are lost."""

    path: str
    bytes: int
    why: str

    @property
    def aside(self) -> str:
        """Where it is put: nothing reads it there."""
        return DAMAGED_DIR + self.path.removeprefix(LEDGER_DIR)

    def text(self) -> str:
        """Return one line for people."""
        many = ", which held the rows of many runs: put a copy of it back first if you have one"
        return f"{self.path} ({self.bytes:,} bytes: {self.why}){many if self.path.startswith(COMPACT_PREFIX) else ''}"


def damaged_files(store: ObjectStore) -> list[DamagedFile]:
    """Return the ledger files that are damaged. Every file is read whole; needs local disk for a few of them.

    Raises StoreError.
    """
    with scratch_folder("ledger-") as folder, ThreadPoolExecutor(_THREADS, thread_name_prefix="ledger") as threads:
        found = threads.map(partial(_judged, store, folder), enumerate(ledger_files(store)))
        return [damaged for damaged in found if damaged is not None]


def set_aside(store: ObjectStore, damaged: Iterable[DamagedFile]) -> None:
    """Move the files out of the ledger. Call it under the lease. Raises StoreError; then call it again."""
    for file in damaged:
        store.copy(file.path, file.aside)
        store.delete([file.path])


@contextmanager
def damage_told(store: ObjectStore) -> Iterator[None]:
    """Say which file is damaged, by RunError(UNAVAILABLE), when the ledger is not read in the block because of one."""
    try:
        yield
    except LedgerUnreadableError as error:
        try:
            damaged = damaged_files(store)
        except StoreError:
            damaged = []
        if not damaged:
            raise
        raise _told(damaged) from error


def _told(damaged: Sequence[DamagedFile]) -> RunError:
    files = "; ".join(file.text() for file in damaged[:_SHOWN])
    more = f" and {len(damaged) - _SHOWN} more" if len(damaged) > _SHOWN else ""
    return RunError(
        Exit.UNAVAILABLE,
        f"the ledger is damaged: {files}{more}. idgen verify sets it aside, then this command makes its pictures again",
    )


def _judged(store: ObjectStore, folder: Path, numbered: tuple[int, str]) -> DamagedFile | None:
    number, path = numbered
    local = folder / f"{number}.parquet"
    try:
        with reading(path):
            filesystem, root = store.filesystem()
            with filesystem.open_input_stream(f"{root.rstrip('/')}/{path}") as source, local.open("wb") as target:
                shutil.copyfileobj(source, target, 2**20)
    except ObjectMissing:  # merged meanwhile
        return None
    try:
        for _ in ds.dataset([str(local)], schema=LEDGER, format="parquet").to_batches(batch_size=_ROWS_READ):
            pass
    except (pa.ArrowException, OSError) as error:
        why = str(error).replace(f" '{local}'", "").splitlines()[0]
        return DamagedFile(path, local.stat().st_size, why[:160])
    finally:
        local.unlink(missing_ok=True)
    return None
