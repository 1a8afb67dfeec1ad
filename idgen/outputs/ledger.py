"""The ledger: the truth of "done". One small Parquet file per published batch, merged by later runs.

Its view is one row per key: the newest, except that `failed` never hides `ok`. Newest means latest `finished_at`,
then the highest `attempt`, then the highest `shard_try`; the rest only makes the order total.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from idgen.outputs.ledger_row import ledger_row as ledger_row
from idgen.schemas import LEDGER
from idgen.stores.protocol import ObjectExists, ObjectMissing, ObjectStore, StoreError
from idgen.stores.reading import reading

LEDGER_DIR = "ledger/"
PART_DIR = "ledger/parts"
COMPACT_PREFIX = "ledger/compact-"
BATCH_ROWS = 8192
PARTS_AHEAD = 32
"""Small parts opened at a time: reading them is waiting for the store."""

_NEWEST_FIRST = ", ".join(
    f"{column} DESC"
    for column in ("finished_at", "attempt", "shard_try", "run_id", "shard", "status = 'ok'", "status", "code")
)
_REQUIRED = [field.name for field in LEDGER if not field.nullable]


def part_path(run_id: str, shard: str, shard_try: int, sequence: int) -> str:
    """Return where a batch's rows go; the same try of the same shard gives the same names."""
    return f"{PART_DIR}/{run_id}/{shard}-{shard_try}-{sequence}.parquet"


def write_part(
    store: ObjectStore, run_id: str, shard: str, shard_try: int, sequence: int, rows: Sequence[Mapping[str, object]]
) -> str:
    """Write LEDGER rows as one object with one PUT and return its path. Raises StoreError.

    A part that is there already (a driver that was killed had the same run id and shard) is never written over: the
    next free sequence number is taken.
    """
    data = _encode(rows)
    while True:
        path = part_path(run_id, shard, shard_try, sequence)
        try:
            store.put(path, data, if_absent=True)
        except ObjectExists:
            sequence += 1
        else:
            return path


def _encode(rows: Sequence[Mapping[str, object]]) -> bytes:
    for row in rows:
        if strangers := row.keys() - set(LEDGER.names):
            raise ValueError(f"not columns of the ledger: {sorted(strangers)}")
        if empty := [name for name in _REQUIRED if row.get(name) is None]:
            raise ValueError(f"a ledger row lacks {empty}")
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(list(rows), schema=LEDGER), sink, compression="zstd", write_statistics=False)
    return bytes(sink.getvalue())


def shard_keys(store: ObjectStore, run_id: str, shard: str) -> set[str]:
    """Return the keys that earlier tries of this shard published, whatever their status. Raises StoreError."""
    prefix = f"{PART_DIR}/{run_id}/{shard}-"
    tries = [found.path for found in store.list(prefix) if _is_try(found.path[len(prefix) :])]
    if not tries:
        return set()
    with reading_ledger():
        table = dataset(store, tries).to_table(columns=["key"], fragment_readahead=PARTS_AHEAD)
    return set(table["key"].to_pylist())


def _is_try(rest: str) -> bool:
    """True for `<try>-<sequence>.parquet`: a shard whose name begins with this one's is another shard."""
    numbers = rest.removesuffix(".parquet").split("-")
    return len(numbers) == 2 and all(number.isdigit() for number in numbers)


def ledger_files(store: ObjectStore) -> list[str]:
    """Return the paths of all parts and compact files. Raises StoreError."""
    return [found.path for found in store.list(LEDGER_DIR) if is_ledger_file(found.path)]


def is_ledger_file(path: str) -> bool:
    """True for parts and compact files."""
    return path.endswith(".parquet") and path.startswith((f"{PART_DIR}/", COMPACT_PREFIX))


def dataset(store: ObjectStore, files: Iterable[str] | None = None) -> ds.Dataset:
    """Return the ledger (or these files of it) as a dataset of LEDGER rows, several per key, read in a stream.

    Register it with DuckDB and read it through `newest_sql`, inside `reading_ledger`. A column that an older file
    lacks is null. Raises StoreError.
    """
    paths = ledger_files(store) if files is None else list(files)
    if not paths:
        return ds.dataset(LEDGER.empty_table())
    with reading_ledger():
        filesystem, root = store.filesystem()
        return ds.dataset([f"{root}/{path}" for path in paths], schema=LEDGER, format="parquet", filesystem=filesystem)


class LedgerUnreadableError(StoreError):
    """The ledger was not read: the store is away, or a file of it is damaged (outputs/ledger_damage.py tells)."""


@contextmanager
def reading_ledger() -> Iterator[None]:
    """Turn what breaks in the block while the ledger is read, by DuckDB too, into LedgerUnreadableError."""
    try:
        with reading("the ledger", duckdb.Error):
            yield
    except ObjectMissing:
        raise
    except StoreError as error:
        raise LedgerUnreadableError(str(error)) from error


def newest_sql(relation: str, columns: str = "*") -> str:
    """Return the SELECT of the ledger's view over `relation`, a DuckDB relation with LEDGER's columns."""
    return f"""SELECT {columns} FROM {relation}
        WINDOW newest AS (PARTITION BY key ORDER BY {_NEWEST_FIRST}),
               ok_first AS (PARTITION BY key ORDER BY status = 'ok' DESC, {_NEWEST_FIRST})
        QUALIFY CASE WHEN first_value(status) OVER newest = 'failed' THEN row_number() OVER ok_first
                ELSE row_number() OVER newest END = 1"""


def kept_sql(relation: str) -> str:
    """Return the SELECT of what a merge keeps: per key the newest row and the newest ok, so the view never changes."""
    return f"""SELECT * FROM {relation}
        WINDOW newest AS (PARTITION BY key ORDER BY {_NEWEST_FIRST}),
               ok_first AS (PARTITION BY key ORDER BY status = 'ok' DESC, {_NEWEST_FIRST})
        QUALIFY row_number() OVER newest = 1 OR (status = 'ok' AND row_number() OVER ok_first = 1)"""


def connect(memory_mb: int, spill_folder: str) -> duckdb.DuckDBPyConnection:
    """Return an in-memory DuckDB that spills to `spill_folder` above `memory_mb`; times come back in UTC."""
    connection = duckdb.connect()
    connection.execute(f"SET memory_limit = '{int(memory_mb)}MB'")
    connection.execute("SET temp_directory = $folder", {"folder": spill_folder})
    connection.execute("SET preserve_insertion_order = false")
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def newest(store: ObjectStore, connection: duckdb.DuckDBPyConnection, columns: str = "*") -> pa.RecordBatchReader:
    """Stream the ledger's view with `columns` (SQL, as in "key, status"), in no order.

    The reader lives as long as the connection does not run another query. Raises StoreError.
    """
    source = dataset(store)
    connection.register("ledger", source)
    return stream(connection, newest_sql("ledger", columns))


def stream(connection: duckdb.DuckDBPyConnection, query: str, batch_rows: int = BATCH_ROWS) -> pa.RecordBatchReader:
    """Run a query over registered ledger files; what the store breaks on the way is a StoreError."""
    with reading_ledger():
        return connection.sql(query).to_arrow_reader(batch_rows)
