"""Merging the ledger: many small parts and the last compact file become one, without ever losing a row of the view.

The order makes a crash harmless: the merged file is whole under its name before anything is deleted, and rows that
are in both count once, because they are equal.
"""

import re
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from idgen.outputs.ledger import (
    COMPACT_PREFIX,
    LEDGER_DIR,
    PARTS_AHEAD,
    LedgerUnreadableError,
    connect,
    dataset,
    is_ledger_file,
    kept_sql,
    stream,
)
from idgen.schemas import LEDGER
from idgen.scratch import scratch_folder
from idgen.stores.protocol import ObjectStore

_GROWTH = 4
_ALWAYS_BYTES = 16 * 2**20
_ROW_GROUP = 32_768
_ROWS_READ = 8_192
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9._-]")


def compact(store: ObjectStore, run_id: str, *, memory_mb: int = 512) -> str | None:
    """Merge the parts and the smaller compact files into one new file; return its path.

    None when there is nothing to merge. Keeps per key the newest row and the newest ok. Call it under the lease.
    Needs local disk for the merged file and what DuckDB spills. Raises StoreError; the ledger is whole even then.
    """
    merged = _chosen(store)
    if not merged:
        return None
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    target = f"{COMPACT_PREFIX}{now}-{_NOT_IN_A_NAME.sub('_', run_id)}.parquet"
    with scratch_folder("compact-") as folder:
        local = folder / "merged.parquet"
        _merge(store, merged, local, memory_mb)
        store.put_file(target, local)
    store.delete(merged)
    return target


def _chosen(store: ObjectStore) -> list[str]:
    """Return what to merge. A compact file is left alone while it is much larger than what would join it.

    So each row is rewritten a few times in its life (by log4 of the catalogue), not once per run. The view of a union
    does not care which part of it was merged.
    """
    files = [found for found in store.list(LEDGER_DIR) if is_ledger_file(found.path)]
    parts = [found for found in files if not found.path.startswith(COMPACT_PREFIX)]
    compacts = sorted(
        (found for found in files if found.path.startswith(COMPACT_PREFIX)), key=lambda found: found.bytes
    )
    total = sum(found.bytes for found in parts)
    chosen = [found.path for found in parts]
    for found in compacts:
        if found.bytes > max(_GROWTH * total, _ALWAYS_BYTES):
            break
        chosen.append(found.path)
        total += found.bytes
    return chosen if len(chosen) > 1 or parts else []


def _reader(store: ObjectStore, files: list[str], files_ahead: int) -> pa.RecordBatchReader:
    pa.set_io_thread_count(max(pa.io_thread_count(), files_ahead))  # the default of 8 would be how many files wait
    scanner = dataset(store, files).scanner(batch_size=_ROWS_READ, batch_readahead=2, fragment_readahead=files_ahead)
    return scanner.to_reader()


def _merge(store: ObjectStore, files: list[str], target: Path, memory_mb: int) -> None:
    with connect(memory_mb, str(target.parent / "spill")) as connection:
        compacts = [path for path in files if path.startswith(COMPACT_PREFIX)]
        parts = [path for path in files if not path.startswith(COMPACT_PREFIX)]
        connection.register("parts", _reader(store, parts, PARTS_AHEAD))
        # little read ahead: these are large, rows are wide, and every column is needed
        connection.register("compacts", _reader(store, compacts, 2))
        rows = stream(connection, kept_sql("(FROM parts UNION ALL FROM compacts)"), _ROW_GROUP)
        with pq.ParquetWriter(target, LEDGER, compression="zstd") as writer:
            try:
                for batch in rows:
                    writer.write_table(pa.Table.from_batches([batch]).cast(LEDGER))
            except (duckdb.Error, pa.ArrowException, OSError) as error:
                raise LedgerUnreadableError(f"the ledger cannot be merged: {error}") from error
