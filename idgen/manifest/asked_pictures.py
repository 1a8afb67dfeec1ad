"""What is asked for: the selected manifest rows as pictures, in `scratch`/asked.parquet.

A selection only leaves rows out: nothing of it enters a key.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from idgen.columns import COLUMNS, LOOK_IMAGE
from idgen.config import SelectConfig
from idgen.errors import Code, Exit, RunError
from idgen.manifest.addresses import Addresses
from idgen.manifest.database import parquet, quoted_name
from idgen.manifest.files import BATCH_ROWS
from idgen.manifest.names import carried_columns
from idgen.manifest.option_files import read_text
from idgen.manifest.reading import POSITION, StagedManifest
from idgen.manifest.resolve import Resolver
from idgen.schemas import PICTURES

ORDINALS_PER_ROW = 1000
"""A picture's ordinal is position * ORDINALS_PER_ROW + image_index (values.MAX_IMAGES)."""
ORDINAL = f"position * {ORDINALS_PER_ROW} + image_index"


def write_asked(
    connection: duckdb.DuckDBPyConnection,
    staged: StagedManifest,
    resolver: Resolver,
    select: SelectConfig,
    scratch: Path,
) -> int:
    """Resolve the manifest's rows into `scratch`/asked.parquet (PICTURES) and return how many rows were read.

    `select.limit` ends the reading early where it can. Raises RunError(USAGE) for an invalid SQL condition.
    """
    rows = pictures = 0
    enough = select.limit if select.limit and not select.file else 0
    with pq.ParquetWriter(scratch / "asked.parquet", PICTURES, compression="zstd", compression_level=1) as writer:
        for batch in _selected_rows(connection, staged, select.where):
            asked = resolver.resolve(batch)
            writer.write_batch(asked)
            rows += batch.num_rows
            pictures += asked.num_rows
            if enough and pictures >= enough:
                break
    return rows


def load_asked(
    connection: duckdb.DuckDBPyConnection, select: SelectConfig, scratch: Path, replaced: Mapping[str, str]
) -> None:
    """Make table `asked`: one slim row per asked picture, after `select.file` and `select.limit`.

    `replaced`: keys of pictures from before -> the key of the one that is asked for now in their place.
    """
    condition = ""
    if select.file:
        _load_ids(connection, "selected_ids", select.file, "select.file")
        _load_replaced(connection, replaced)
        condition = """WHERE row_id IN (FROM selected_ids) OR key IN (FROM selected_ids)
            OR key IN (SELECT key FROM replaced WHERE old_key IN (FROM selected_ids))"""
    limit = f"ORDER BY {ORDINAL} LIMIT {int(select.limit)}" if select.limit else ""
    connection.execute(f"""
        CREATE OR REPLACE TABLE asked AS
        SELECT {ORDINAL} AS ordinal, position, key, replaces, row_id, recipe, code, detail,
            -- the name below named/ as outputs/named.py makes it; case does not part two file names
            lower(output_name) || CASE WHEN num_images > 1 THEN printf('_%02d', image_index) ELSE '' END AS name,
            name || CASE output_format WHEN 'jpeg' THEN '.jpg' ELSE '.' || output_format END AS file
        FROM {parquet(scratch / "asked.parquet")} {condition} {limit}""")


def _load_ids(connection: duckdb.DuckDBPyConnection, table: str, path: str, option: str) -> None:
    """Read a text file with one id a line into `table` (column `id`), as text: 0123 stays 0123."""
    text = read_text(option, path)
    ids = list(dict.fromkeys(stripped for line in text.splitlines() if (stripped := line.strip())))
    connection.register("ids_of_file", pa.table({"id": pa.array(ids, pa.string())}))
    connection.execute(f"CREATE OR REPLACE TABLE {table} AS SELECT id FROM ids_of_file")
    connection.unregister("ids_of_file")


def _load_replaced(connection: duckdb.DuckDBPyConnection, replaced: Mapping[str, str]) -> None:
    columns = {"old_key": pa.array(list(replaced), pa.string()), "key": pa.array(replaced.values(), pa.string())}
    connection.register("replaced_now", pa.table(columns))
    connection.execute("CREATE OR REPLACE TABLE replaced AS SELECT * FROM replaced_now")
    connection.unregister("replaced_now")


def unknown_ids(
    connection: duckdb.DuckDBPyConnection, staged: StagedManifest, select: SelectConfig, scratch: Path
) -> list[str]:
    """Return the ids of `select.file` that no row of the manifest has, in the file's order, after load_asked.

    Raises RunError(USAGE) when it is all of them: then the file is the wrong one, or of another form.
    """
    if not select.file:
        return []
    asked = parquet(scratch / "asked.parquet")
    known = f"SELECT row_id FROM {asked} UNION ALL SELECT key FROM {asked} UNION ALL SELECT old_key FROM replaced"
    if select.where.strip():  # of rows that it left out the ids are known, keys are not
        known += f" UNION ALL SELECT id FROM selected_ids WHERE regexp_full_match(id, '{_KEY}')"
        if "row_id" in staged.schema.names:
            known += f" UNION ALL SELECT row_id FROM {parquet(staged.path)} WHERE row_id IS NOT NULL"
    lost = [
        name
        for (name,) in connection.execute(
            f"SELECT id FROM selected_ids WHERE id NOT IN ({known}) ORDER BY rowid"
        ).fetchall()
    ]
    total = connection.execute("SELECT count(*) FROM selected_ids").fetchall()[0][0]
    if len(lost) == total:
        like = f", for example {lost[0][:_ID_CHARS]!r}" if lost else ""
        raise RunError(
            Exit.USAGE,
            f"select.file: none of its {total} ids is a row_id or key of the manifest{like}; give one per line, "
            "without quotes or commas",
        )
    return lost


_ID_CHARS = 60
_KEY = "[0-9a-f]{32}"


def check_photos(connection: duckdb.DuckDBPyConnection, staged: StagedManifest, addresses: Addresses) -> None:
    """Raise RunError(USAGE) for a header alone, or for a manifest where no row can have a photo and all need one.

    A Parquet file without rows is what programs write when there is nothing to do, failed.parquet among them.
    """
    if staged.is_text and not pq.read_metadata(staged.path).num_rows:
        raise RunError(Exit.USAGE, "manifest: it has a header, but no rows")
    if set(_PHOTOS) & set(staged.schema.names) or not _count(connection, "true"):
        return
    if not _count(connection, f"code <> '{Code.MISSING_VALUE}'"):
        names = [str(addresses.clean(name))[:_NAME_CHARS] for name in staged.schema.names[:_NAMES_SHOWN]]
        raise RunError(Exit.USAGE, f"manifest: it has no column reference_uri; its columns are {', '.join(names)}")


def _count(connection: duckdb.DuckDBPyConnection, condition: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM asked WHERE {condition}").fetchall()[0][0])


_PHOTOS = ("reference_uri", "reference_uris", LOOK_IMAGE)
_NAMES_SHOWN, _NAME_CHARS = 20, 40


def load_keys(connection: duckdb.DuckDBPyConnection, table: str, path: str) -> None:
    """Read a file of keys, one a line, into `table`."""
    _load_ids(connection, table, path, "keys_file")


def _selected_rows(
    connection: duckdb.DuckDBPyConnection, staged: StagedManifest, where: str
) -> Iterable[pa.RecordBatch]:
    """Return the rows that the condition selects, in the manifest's order."""
    if not where.strip():
        return _all_rows(staged)
    # the line break ends a comment the condition may hold
    query = f"CREATE OR REPLACE TABLE selected AS SELECT {POSITION} FROM manifest WHERE ({where}\n)"
    own = carried_columns(staged.schema.names)
    try:
        if len(connection.extract_statements(query)) != 1:
            raise RunError(Exit.USAGE, "select.where: give one condition, not several statements")
        try:
            _select(connection, staged, own, query)
        except duckdb.ConversionException:  # of a column that it does not ask for
            _select(connection, staged, [name for name in own if _is_said(name, where)], query)
    except duckdb.Error as error:
        raise RunError(Exit.USAGE, f"select.where: {str(error).splitlines()[0]}") from None
    chosen = pa.array(connection.execute("SELECT * FROM selected").fetchnumpy()[POSITION], pa.int64())
    return (batch.filter(pc.is_in(batch.column(POSITION), chosen)) for batch in _all_rows(staged))


def _select(connection: duckdb.DuckDBPyConnection, staged: StagedManifest, own: Sequence[str], query: str) -> None:
    """Run the query on the view `manifest` with these of the shop's own columns."""
    columns = ", ".join([*_known(staged), *(quoted_name(name) for name in own)])
    connection.execute(f"CREATE OR REPLACE TEMP VIEW manifest AS SELECT {columns} FROM {parquet(staged.path)}")
    connection.execute(query)


def _is_said(name: str, where: str) -> bool:
    return quoted_name(name)[1:-1].casefold() in where.casefold()


def _all_rows(staged: StagedManifest) -> Iterable[pa.RecordBatch]:
    batches: Iterable[pa.RecordBatch] = pq.ParquetFile(staged.path).iter_batches(BATCH_ROWS)
    return batches


def _known(staged: StagedManifest) -> list[str]:
    """Return the view's known columns: every one under its name and type, absent ones null; and POSITION."""
    present = set(staged.schema.names)
    parts = [POSITION]
    for column in COLUMNS:
        name = quoted_name(column.name)
        if column.name not in present:
            parts.append(f"NULL::{_sql_type(column.type)} AS {name}")
        elif staged.is_text and not pa.types.is_nested(column.type):
            parts.append(f"TRY_CAST({name} AS {_sql_type(column.type)}) AS {name}")
        else:
            parts.append(name)
    return parts


def _sql_type(type_: pa.DataType) -> str:
    if pa.types.is_nested(type_):
        return "VARCHAR"
    return {"string": "VARCHAR", "int32": "INTEGER", "int64": "BIGINT", "float": "FLOAT", "bool": "BOOLEAN"}[str(type_)]
