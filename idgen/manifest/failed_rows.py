"""failed.parquet: the manifest rows with a picture that is not in the catalogue, as they were, with why."""

import json
from contextlib import closing
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from idgen import values
from idgen.columns import ADDRESSES, BY_NAME, LABELS
from idgen.errors import RowError
from idgen.list_values import texts
from idgen.manifest.addresses import Addresses
from idgen.manifest.asked_pictures import ORDINALS_PER_ROW
from idgen.manifest.names import OWN_PREFIX
from idgen.manifest.own_columns import RowReader, change_texts
from idgen.manifest.reading import POSITION, read_staged
from idgen.recipes.recipe import Recipe
from idgen.values import Cell

_BATCH_ROWS = 16_384
_NO_RECIPE = Recipe()  # checks that ask nothing of the recipe


def write_failed(connection: duckdb.DuckDBPyConnection, scratch: Path, addresses: Addresses) -> None:
    """Write `scratch`/failed.parquet, one row per manifest row with such a picture. Needs `outcomes` and `codes`."""
    staged = read_staged(scratch)
    reader = connection.sql(f"""
        SELECT w.position, w.status AS {OWN_PREFIX}status, w.code AS {OWN_PREFIX}code,
            w.detail AS {OWN_PREFIX}detail, coalesce(k.what_to_do, '') AS {OWN_PREFIX}what_to_do
        FROM (SELECT ordinal // {ORDINALS_PER_ROW} AS position, arg_min(status, ordinal) AS status,
                  arg_min(code, ordinal) AS code, arg_min(detail, ordinal) AS detail
              FROM outcomes WHERE status <> 'ok' AND NOT (status = 'skipped' AND ledger_status = 'ok')
              GROUP BY 1) w
        LEFT JOIN codes k ON k.code = w.code
        ORDER BY w.position""").to_arrow_reader(_BATCH_ROWS)
    with closing(RowReader(staged.path, staged.schema.names, POSITION)) as rows:
        schema = pa.schema([*rows.schema, *list(reader.schema)[1:]])
        with pq.ParquetWriter(scratch / "failed.parquet", schema, compression="zstd") as writer:
            for batch in reader:
                taken = rows.take(batch.column("position"))
                columns = [_clean(field, column, addresses) for field, column in zip(rows.schema, taken, strict=True)]
                writer.write_batch(pa.RecordBatch.from_arrays([*columns, *batch.columns[1:]], schema=schema))


def _clean(field: pa.Field, column: pa.Array, addresses: Addresses) -> pa.Array:
    """Return a manifest column as failed.parquet has it: addresses absolute and without signatures."""
    if field.name in ADDRESSES and pa.types.is_list(BY_NAME[field.name].type):
        return pa.array([_addresses(cell, addresses) for cell in column.to_pylist()], field.type)
    if field.name in ADDRESSES:
        return change_texts(column, lambda cell: cell and _address(field.name, cell, addresses))
    is_ours = field.name in BY_NAME and field.name not in ("row_id", *LABELS)
    return column if is_ours else change_texts(column, addresses.clean)


def _address(name: str, cell: str, addresses: Addresses) -> Cell:
    try:
        return addresses.redacted(addresses.absolute(values.uri(name, cell, _NO_RECIPE)))
    except RowError:
        return addresses.clean(cell)  # the plan refused it, and will again


def _addresses(cell: Cell, addresses: Addresses) -> Cell:
    """Return addresses that do not depend on the manifest's folder and hold no signature; a list in text stays text."""
    if not cell:
        return cell
    try:
        uris = [_address("", uri, addresses) for uri in texts("", cell, _NO_RECIPE)]
    except RowError:
        return addresses.clean(cell)
    return json.dumps(uris, ensure_ascii=False) if isinstance(cell, str) else uris
