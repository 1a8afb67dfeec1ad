"""DuckDB as the planner uses it: on files in the scratch folder, with a memory limit, without any network.

It never reads an object store itself (its S3 extension would have to be downloaded): ledger files come to it as a
pyarrow dataset of the store's own filesystem.
"""

import glob
from collections.abc import Sequence
from pathlib import Path

import duckdb

from idgen.outputs.ledger import dataset
from idgen.schemas import LEDGER
from idgen.stores.protocol import ObjectStore

LEDGER_COLUMNS = "key, status, code, retriable, attempt, finished_at, shard_try, run_id, shard"
"""The columns that decide the ledger's view (outputs/ledger.py), and those that the plan uses."""


def open_database(scratch: Path, memory_mb: int) -> duckdb.DuckDBPyConnection:
    """Return a connection to `scratch`/plan.duckdb that spills to disk beyond `memory_mb`."""
    scratch.mkdir(parents=True, exist_ok=True)
    connection = duckdb.connect(str(scratch / "plan.duckdb"))
    connection.execute("SET autoinstall_known_extensions = false")
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET autoload_known_extensions = false")
    connection.execute(f"SET memory_limit = '{int(memory_mb)}MiB'")
    connection.execute(f"SET temp_directory = {quoted(str(scratch / 'spill'))}")
    return connection


def register_ledger(connection: duckdb.DuckDBPyConnection, store: ObjectStore, files: Sequence[str]) -> None:
    """Make the ledger's rows, several per key, visible as `ledger_rows`; only columns that a query names are read."""
    connection.register("ledger_rows", dataset(store, files) if files else LEDGER.empty_table())


def parquet(path: Path) -> str:
    """Return an SQL relation of one Parquet file: whatever its folders are called, they give it no columns."""
    return f"read_parquet({quoted(glob.escape(str(path)))}, hive_partitioning = false)"


def quoted(text: str) -> str:
    """Return `text` as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def quoted_name(name: str) -> str:
    """Return `name` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
