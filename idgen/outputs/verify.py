"""Compares the ledger's ok rows with the files under images/ and named/.

Everything but the findings goes through DuckDB, so memory does not grow with a sound catalogue.
"""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields, replace

import duckdb
import pyarrow as pa

from idgen.outputs.ledger import connect, dataset, newest_sql, stream
from idgen.outputs.leftovers import leftovers
from idgen.outputs.named import NAMED_DIR
from idgen.outputs.publishing import HELD
from idgen.scratch import scratch_folder
from idgen.stores.protocol import ObjectMissing, ObjectStore

_LISTING = pa.schema([("path", pa.string()), ("bytes", pa.int64())])
_LISTING_ROWS = 10_000
_HASHED_AT_A_TIME = 64
_SHOWN = 5

_DONE = "key, status, image_path, image_bytes, image_sha256, image_index, output_name, settings, finished_at, verdict"
_COPIES = f"""
    SELECT '{NAMED_DIR}/' || output_name
           || CASE WHEN CAST(settings->>'$.num_images' AS INTEGER) > 1 THEN printf('_%02d', image_index) ELSE '' END
           || '.' || split_part(image_path, '.', -1) AS path,
           image_bytes, done.image_sha256, finished_at, coalesce(verdict, '') AS verdict,
           r.key IS NOT NULL AS is_rejected,
           r.key IS NOT NULL AND coalesce(r.image_sha256 = done.image_sha256, true) AS must_go
    FROM done LEFT JOIN rejected r ON r.key = done.key WHERE output_name <> ''"""
_NAMES = """
    SELECT path, list(image_bytes) AS sizes, arg_max(verdict, finished_at) AS verdict,
        arg_max(is_rejected, finished_at) AS is_rejected
    FROM names_of_pictures GROUP BY path"""
_IMAGES = "SELECT DISTINCT image_path, image_sha256 FROM done ORDER BY 1"
_MAYBE_REJECTED = """
    SELECT DISTINCT n.path, n.image_sha256 FROM names_of_pictures n JOIN copies c USING (path)
    WHERE must_go AND bytes = image_bytes AND (n.path, n.image_sha256) NOT IN (
        SELECT (path, image_sha256) FROM names_of_pictures WHERE NOT must_go)
    ORDER BY 1"""
NOTHING_REJECTED = pa.schema([("key", pa.string()), ("image_sha256", pa.string())]).empty_table()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What was compared, and every path that is not as the ledger says, in the order of the paths."""

    checked: int
    """Ledger rows that are ok."""
    missing: list[str]
    """Images that are not there: a lie in the ledger."""
    wrong_size: list[str]
    """Images of another size than the ledger's."""
    wrong_hash: list[str]
    """Images of another SHA-256; only looked for when asked."""
    orphans: list[str]
    """Images no ok row names: left by a crash or a forced rerun, or of a batch that is being published. Harmless."""
    names_missing: list[str]
    """Named copies of pictures that no gate holds, that nobody rejected, and that are not there; the next run with
    these pictures makes them, unless `images.publish` wants them accepted."""
    names_rejected: list[str]
    """Named copies of pictures that people rejected; the next run withdraws them."""
    names_old: list[str]
    """Named copies of the size of no picture that had this name."""
    names_unknown: list[str]
    """Files under named/ that no ok row names."""
    missing_keys: list[str]
    """Keys of the images that are missing, of a wrong size or of a wrong hash: what to make again."""
    leftovers: list[str] = field(default_factory=list)
    """What runs that died left; the next run removes it."""

    @property
    def sound(self) -> bool:
        """True when every ok row has its image; orphans and names do not count."""
        return not self.missing_keys

    def text(self) -> str:
        """Return the findings for people, a few paths of each."""
        lines = [f"{self.checked:,} pictures checked: {'sound' if self.sound else 'NOT SOUND'}"]
        for part in fields(self):
            found = getattr(self, part.name)
            if isinstance(found, list) and found and part.name != "missing_keys":
                more = f" and {len(found) - _SHOWN:,} more" if len(found) > _SHOWN else ""
                lines.append(f"  {part.name.replace('_', ' ')}: {len(found):,}  ({', '.join(found[:_SHOWN])}{more})")
        if self.missing_keys:
            lines.append("  make them again: jobs/rerun.py with the same manifest and rerun.missing=true")
        return "\n".join(lines)


def verify(
    store: ObjectStore,
    *,
    hashes: bool = False,
    rejected: pa.Table = NOTHING_REJECTED,
    threads: int = 8,
    memory_mb: int = 512,
) -> Verification:
    """Compare the ledger with the store; `hashes` reads every image. Raises StoreError.

    `rejected` has the pictures that people rejected (`key`, and `image_sha256`, null where it is not known).
    The ledger is read before the listings, so a run that is at work causes orphans here, never missing images.
    """
    with scratch_folder("verify-") as folder, connect(memory_mb, str(folder)) as connection:
        connection.register("ledger", dataset(store))
        view = stream(connection, f"SELECT * FROM ({newest_sql('ledger', _DONE)}) WHERE status = 'ok'")
        _load(connection, "done", view)
        _load(connection, "images", _listing(store, "images/"))
        _load(connection, "copies", _listing(store, f"{NAMED_DIR}/"))
        connection.register("rejected", rejected)
        connection.execute(f"CREATE TABLE names_of_pictures AS {_COPIES}")
        connection.execute(f"CREATE TEMP TABLE names AS {_NAMES}")
        damaged = _of_sha256(connection, store, threads, _IMAGES, alike=False) if hashes else []
        names_rejected = _of_sha256(connection, store, threads, _MAYBE_REJECTED, alike=True)
        connection.execute("CREATE TEMP TABLE damaged (path VARCHAR)")
        if damaged:
            connection.executemany("INSERT INTO damaged VALUES (?)", [[path] for path in damaged])
        return replace(_compare(connection, damaged, names_rejected), leftovers=leftovers(store).paths())


def _compare(connection: duckdb.DuckDBPyConnection, damaged: list[str], names_rejected: list[str]) -> Verification:
    def column(query: str) -> list[str]:
        """Return the distinct paths that `query` finds, sorted."""
        return [row[0] for row in connection.execute(f"SELECT DISTINCT path FROM ({query}) ORDER BY 1").fetchall()]

    missing = "SELECT image_path AS path, key FROM done ANTI JOIN images ON path = image_path"
    wrong_size = "SELECT path, key FROM done JOIN images ON path = image_path WHERE bytes <> image_bytes"
    wrong_hash = "SELECT path, key FROM done JOIN damaged ON path = image_path"
    bad_keys = f"SELECT key AS path FROM ({missing} UNION ALL {wrong_size} UNION ALL {wrong_hash})"
    return Verification(
        checked=(connection.execute("SELECT count(*) FROM done").fetchone() or (0,))[0],
        missing=column(missing),
        wrong_size=column(wrong_size),
        wrong_hash=damaged,
        orphans=column("SELECT path FROM images ANTI JOIN done ON path = image_path"),
        names_missing=column(
            f"SELECT path FROM names ANTI JOIN copies USING (path) WHERE verdict <> '{HELD}' AND NOT is_rejected"
        ),
        names_rejected=names_rejected,
        names_old=column(
            "SELECT n.path FROM names n JOIN copies c USING (path) WHERE NOT list_contains(n.sizes, c.bytes)"
        ),
        names_unknown=column("SELECT path FROM copies ANTI JOIN names USING (path)"),
        missing_keys=column(bad_keys),
    )


def _load(connection: duckdb.DuckDBPyConnection, table: str, rows: pa.RecordBatchReader) -> None:
    # a second connection to the same database: the reader may still be running on the first
    with connection.cursor() as other:
        other.register("rows_to_load", rows)
        other.execute(f"CREATE TABLE {table} AS SELECT * FROM rows_to_load")


def _listing(store: ObjectStore, prefix: str) -> pa.RecordBatchReader:
    def batches() -> Iterator[pa.RecordBatch]:
        """Yield the listing piece by piece."""
        rows: list[tuple[str, int]] = []
        for found in store.list(prefix):
            rows.append((found.path, found.bytes))
            if len(rows) == _LISTING_ROWS:
                yield _batch(rows)
                rows = []
        yield _batch(rows)

    return pa.RecordBatchReader.from_batches(_LISTING, batches())


def _batch(rows: list[tuple[str, int]]) -> pa.RecordBatch:
    return pa.record_batch([[path for path, _ in rows], [size for _, size in rows]], schema=_LISTING)


def _of_sha256(
    connection: duckdb.DuckDBPyConnection, store: ObjectStore, threads: int, query: str, *, alike: bool
) -> list[str]:
    """Return the paths whose bytes hash to what `query` (path, sha256) says, or, not `alike`, to something else.

    A bounded number of files is in memory; those that are not there are in neither.
    """

    def check(row: tuple[str, str]) -> str:
        """Return the path when it is one of those, else nothing."""
        path, sha256 = row
        try:
            return path if (hashlib.sha256(store.get(path)).hexdigest() == sha256) is alike else ""
        except ObjectMissing:  # reported as missing
            return ""

    found: list[str] = []
    with ThreadPoolExecutor(threads) as pool, connection.cursor() as cursor:
        cursor.execute(query)
        while rows := cursor.fetchmany(_HASHED_AT_A_TIME):
            found += [path for path in pool.map(check, rows) if path]
    return found
