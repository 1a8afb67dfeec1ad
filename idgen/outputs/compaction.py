"""Merging the ledger: many small parts and the last compact file become one, without ever losing a row of the view.

The order makes a crash harmless: the merged file is whole under its name before anything is deleted, and rows that
are in both count once, because they are equal.
"""

import re
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from idgen.outputs.ledger import COMPACT_PREFIX, PART_DIR, connect, dataset, kept_sql, ledger_files, stream
from idgen.schemas import LEDGER
from idgen.stores.protocol import ObjectStore, StoreError

_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9._-]")


def compact(store: ObjectStore, run_id: str, *, keep_run: str | None = None, memory_mb: int = 512) -> str | None:
    """Merge all parts, those of `keep_run` excepted, and all compact files into one new file; return its path.

    None when there is nothing to merge. Keeps per key the newest row and the newest ok. Call it under the lease.
    Needs local disk for the merged file and what DuckDB spills. Raises StoreError; the ledger is whole even then.
    """
    kept = f"{PART_DIR}/{keep_run}/"
    merged = [path for path in ledger_files(store) if keep_run is None or not path.startswith(kept)]
    if not any(path.startswith(PART_DIR) for path in merged) and len(merged) < 2:
        return None
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    target = f"{COMPACT_PREFIX}{now}-{_NOT_IN_A_NAME.sub('_', run_id)}.parquet"
    with tempfile.TemporaryDirectory(prefix="idgen-compact-") as folder:
        local = Path(folder) / "merged.parquet"
        _merge(store, merged, local, memory_mb)
        store.put_file(target, local)
    store.delete(merged)
    return target


def _merge(store: ObjectStore, files: list[str], target: Path, memory_mb: int) -> None:
    with connect(memory_mb, str(target.parent / "spill")) as connection:
        connection.register("ledger", dataset(store, files))
        rows = stream(connection, kept_sql("ledger"))
        with pq.ParquetWriter(target, LEDGER, compression="zstd") as writer:
            try:
                for batch in rows:
                    writer.write_table(pa.Table.from_batches([batch]).cast(LEDGER))
            except (duckdb.Error, pa.ArrowException, OSError) as error:
                raise StoreError(f"the ledger cannot be merged: {error}") from error
