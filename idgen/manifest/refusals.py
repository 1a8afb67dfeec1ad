"""What the plan refuses, for people (plan/refused.csv) and for the ledger (plan/refused.parquet)."""

import csv
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

import idgen
from idgen.columns import LABELS
from idgen.errors import Code
from idgen.manifest.asked_pictures import ORDINAL
from idgen.manifest.database import parquet, quoted, register_ledger
from idgen.outputs.ledger import newest_sql, reading_ledger
from idgen.schemas import LEDGER
from idgen.stores.protocol import ObjectStore

_BATCH_ROWS = 8192
_LABELS_SQL = ", ".join(f"a.{name}" for name in LABELS)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_refused(
    connection: duckdb.DuckDBPyConnection,
    store: ObjectStore,
    run_id: str,
    ledger_files: Sequence[str],
    scratch: Path,
    into: ObjectStore,
) -> int:
    """Write both files `into` a store; return how many refused pictures are new to the ledger. Raises StoreError.

    What this run itself has recorded counts as new, too: one that goes on after a crash ends as it would have ended.

    Those with a forbidden address count as new whatever the ledger has: only what was to be made is refused so, and a
    rerun that asked for it did not make it.

    The CSV names every refusal of this run, the Parquet file (LEDGER rows) has one row per key of which the ledger has
    no refusal or picture yet: equal rows, and the pictures of one, may share a key.
    """
    connection.execute(f"""
        CREATE OR REPLACE TEMP VIEW refused AS
        SELECT v.ordinal, v.key, v.code, v.detail, c.what_to_do, a.position, a.image_index, a.recipe, a.recipe_hash,
            CASE WHEN a.row_id = a.key THEN v.key ELSE a.row_id END AS row_id, {_LABELS_SQL}, a.carried
        FROM verdicts v JOIN codes c ON c.code = v.code
        JOIN {parquet(scratch / "asked.parquet")} a ON {ORDINAL} = v.ordinal
        WHERE v.verdict = 'refused'""")
    _write_csv(connection, into, run_id, scratch)
    register_ledger(connection, store, ledger_files)
    with reading_ledger():
        of_refused = "(SELECT * FROM ledger_rows WHERE key IN (SELECT key FROM verdicts WHERE verdict = 'refused'))"
        connection.execute(f"""
            CREATE OR REPLACE TABLE told_before AS
            SELECT key, run_id = {quoted(run_id)} AS by_us
            FROM ({newest_sql(of_refused, "key, status, run_id")}) WHERE status <> 'failed'""")
    batches = connection.sql("""
        SELECT * FROM refused WHERE key NOT IN (SELECT key FROM told_before)
        QUALIFY row_number() OVER (PARTITION BY key ORDER BY ordinal) = 1 ORDER BY ordinal
        """).to_arrow_reader(_BATCH_ROWS)
    now = datetime.now(UTC)
    with pq.ParquetWriter(scratch / "refused.parquet", LEDGER, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(_ledger_rows(batch, run_id, now))
    into.put_file(f"runs/{run_id}/plan/refused.parquet", scratch / "refused.parquet")
    counted = connection.execute(f"""
        SELECT count(*) FROM refused
        WHERE key NOT IN (SELECT key FROM told_before WHERE NOT by_us) OR code = '{Code.URI_FORBIDDEN}'""")
    return int(counted.fetchall()[0][0])


def safe_cell(value: object) -> object:
    """Return a CSV cell that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _write_csv(connection: duckdb.DuckDBPyConnection, store: ObjectStore, run_id: str, scratch: Path) -> None:
    names = ("row", "row_id", "image_index", "code", "detail", "what_to_do")
    path = scratch / "refused.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        cursor = connection.execute("""
            SELECT position + 1, row_id, image_index, code, detail, what_to_do FROM refused ORDER BY ordinal""")
        while rows := cursor.fetchmany(_BATCH_ROWS):
            writer.writerows([[safe_cell(cell) for cell in row] for row in rows])
    store.put_file(f"runs/{run_id}/plan/refused.csv", path, content_type="text/csv")


def _ledger_rows(batch: pa.RecordBatch, run_id: str, now: datetime) -> pa.RecordBatch:
    """Return refusals as LEDGER rows: empty where a refused picture has nothing to say."""
    fixed = {
        "status": "rejected",
        "stage": "plan",
        "retriable": False,
        "attempt": 1,
        "run_id": run_id,
        "shard": "plan",
        "finished_at": now,
        "settings": "{}",
        "idgen_version": idgen.__version__,
    }
    empty = {pa.string(): "", pa.int32(): 0, pa.int64(): 0}
    arrays = []
    for field in LEDGER:
        if field.name in batch.schema.names:
            array = batch.column(field.name).cast(field.type)
            arrays.append(array if field.nullable else array.fill_null(empty[field.type]))
        elif field.nullable:
            arrays.append(pa.nulls(batch.num_rows, field.type))
        else:
            value = fixed.get(field.name, empty.get(field.type))
            arrays.append(pa.array([value] * batch.num_rows, field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=LEDGER)
