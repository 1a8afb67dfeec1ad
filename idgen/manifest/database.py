"""DuckDB as the planner uses it: on files in the scratch folder, with a memory limit, without any network.

It never reads an object store itself (its S3 extension would have to be downloaded): ledger files come to it as a
pyarrow dataset of the store's own filesystem.
"""

from collections.abc import Sequence
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.dataset as pd

from idgen.schemas import LEDGER
from idgen.stores.protocol import ObjectStore


def open_database(scratch: Path, memory_mb: int) -> duckdb.DuckDBPyConnection:
    """Return a connection to `scratch`/plan.duckdb that spills to disk beyond `memory_mb`."""
    scratch.mkdir(parents=True, exist_ok=True)
    connection = duckdb.connect(str(scratch / "plan.duckdb"))
    connection.execute("SET autoinstall_known_extensions = false")
    connection.execute("SET autoload_known_extensions = false")
    connection.execute(f"SET memory_limit = '{int(memory_mb)}MiB'")
    connection.execute(f"SET temp_directory = {quoted(str(scratch / 'spill'))}")
    return connection


def register_ledger(
    connection: duckdb.DuckDBPyConnection, store: ObjectStore, files: Sequence[str], columns: Sequence[str]
) -> None:
    """Make the raw ledger rows visible as `ledger_rows`, with these of LEDGER's columns."""
    schema = pa.schema([LEDGER.field(name) for name in columns])
    if files:
        filesystem, root = store.filesystem()
        paths = [f"{root.rstrip('/')}/{path}" for path in files]
        connection.register("ledger_rows", pd.dataset(paths, schema=schema, format="parquet", filesystem=filesystem))
    else:
        connection.register("ledger_rows", schema.empty_table())


def newest_sql(rows: str) -> str:
    """Return a query over ledger rows that keeps one per key: the newest, except that `failed` never hides `ok`.

    Windows, not arg_max: they spill to disk.
    """
    return f"""
        SELECT * EXCLUDE (has_ok) FROM (SELECT *, bool_or(status = 'ok') OVER (PARTITION BY key) AS has_ok FROM {rows})
        QUALIFY row_number() OVER (
            PARTITION BY key ORDER BY has_ok AND status = 'failed', finished_at DESC, attempt DESC) = 1"""


def quoted(text: str) -> str:
    """Return `text` as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def quoted_name(name: str) -> str:
    """Return `name` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
