"""The results of a run: results.parquet, failed.parquet, and the count of every picture asked for.

Both files come from a streaming join of what was asked (scratch) with the ledger: nothing of it is kept in memory while
a run goes on. A picture's status is this run's; `ledger_status` is what the catalogue holds, which differs for skipped
pictures and where a forced second try failed beside an older ok.
"""

import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from idgen import values
from idgen.checks.table import FINDING_COLUMNS
from idgen.columns import ADDRESSES, BY_NAME, LABELS
from idgen.errors import RowError
from idgen.list_values import texts
from idgen.manifest.addresses import Addresses
from idgen.manifest.asked_pictures import ORDINALS_PER_ROW
from idgen.manifest.database import LEDGER_COLUMNS, open_database, parquet, quoted, register_ledger
from idgen.manifest.names import OWN_PREFIX, carried_columns
from idgen.manifest.own_columns import RowReader, change_texts
from idgen.manifest.reading import POSITION, read_staged
from idgen.outputs.ledger import newest_sql, reading_ledger
from idgen.recipes.recipe import Recipe
from idgen.stores.protocol import ObjectStore
from idgen.values import Cell

_BATCH_ROWS = 16_384
_NO_RECIPE = Recipe()  # checks that ask nothing of the recipe
_LABELS_SQL = ", ".join(f"a.{name}" for name in LABELS)
_FINDINGS = tuple(column.name for column in FINDING_COLUMNS)
_FINDINGS_SQL = ", ".join(f"t.{name}" for name in _FINDINGS)
_TOLD_COLUMNS = ", ".join(
    (
        f"{LEDGER_COLUMNS}, detail, stage, image_path, image_sha256, image_bytes, image_format, settings, seconds",
        "warnings, reference_uris, reference_faces, reference_score, target_keypoints",
        *_FINDINGS,
    )
)
_RESULT_NAMES = frozenset(
    {
        "key", "position", "status", "ledger_status", "code", "detail", "what_to_do", "duplicate_of", "image_uri",
        "image_path", "image_sha256", "image_bytes", "image_index", "stage", "attempt", "run_id", "finished_at",
        "seconds", "warnings", "settings", "reference_faces", "reference_score", "replaces", "carried",
        "target_keypoints", *_FINDINGS,
    }
)  # fmt: skip
"""Columns of results.parquet that no manifest column is named after."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Balance:
    """Pictures by how they ended; `unfinished` are those a stopped run left."""

    asked: int
    ok: int
    rejected: int
    failed: int
    skipped: int
    unfinished: int
    codes: dict[str, int]
    """Pictures of this run without an image, by code."""

    @property
    def adds_up(self) -> bool:
        """Whether every picture asked for has exactly one status."""
        return self.asked == self.ok + self.rejected + self.failed + self.skipped + self.unfinished


def write_results(
    store: ObjectStore,
    run_id: str,
    *,
    ledger_files: Sequence[str],
    scratch: Path,
    signature_parameters: Sequence[str],
    memory_mb: int,
) -> Balance:
    """Write the run's results.parquet and failed.parquet and return the balance. Needs the `scratch` of `plan`.

    results.parquet: one row per picture, in the manifest's order, with the shop's own columns (one whose name is taken
    gets `manifest_` in front). failed.parquet: every manifest row with a picture that is not in the catalogue, with the
    manifest's own columns (addresses absolute, without signatures) and idgen_status, idgen_code, idgen_detail,
    idgen_what_to_do; a manifest may hold such columns, they are not read. Raises StoreError.
    """
    with open_database(scratch, memory_mb) as connection:
        register_ledger(connection, store, ledger_files)
        with reading_ledger():
            _load_outcomes(connection, run_id)
        folder = f"runs/{run_id}"
        addresses = Addresses(read_staged(scratch).folder, signature_parameters)
        _write_results(connection, store, scratch, addresses)
        store.put_file(f"{folder}/results.parquet", scratch / "results.parquet")
        _write_failed(connection, scratch, addresses)
        store.put_file(f"{folder}/failed.parquet", scratch / "failed.parquet")
        return _balance(connection)


def _load_outcomes(connection: duckdb.DuckDBPyConnection, run_id: str) -> None:
    """Make tables `told` (per key the ledger row to tell of) and `outcomes` (per picture its status)."""
    connection.execute(f"""
        CREATE OR REPLACE TABLE asked_keys AS SELECT DISTINCT key, verdict AS planned FROM verdicts;
        CREATE OR REPLACE TABLE newest AS {newest_sql(_OF_ASKED.format(LEDGER_COLUMNS, "true"), "key, status")};
        CREATE OR REPLACE TABLE told AS
        {newest_sql(_OF_ASKED.format(_TOLD_COLUMNS, f"planned = 'skipped' OR run_id = {quoted(run_id)}"))};
        CREATE OR REPLACE TABLE outcomes AS
        SELECT v.ordinal, v.key, v.first,
            CASE v.verdict WHEN 'refused' THEN 'rejected' WHEN 'skipped' THEN 'skipped'
                 ELSE coalesce(t.status, 'unfinished') END AS status,
            coalesce(n.status, '') AS ledger_status,
            coalesce(CASE v.verdict WHEN 'refused' THEN v.code ELSE t.code END, '') AS code,
            coalesce(CASE v.verdict WHEN 'refused' THEN v.detail ELSE t.detail END, '') AS detail
        FROM verdicts v LEFT JOIN told t ON t.key = v.key LEFT JOIN newest n ON n.key = v.key""")


_OF_ASKED = "(SELECT {} FROM ledger_rows JOIN asked_keys USING (key) WHERE {})"


def _results_sql(store: ObjectStore, scratch: Path) -> str:
    """Return the query of results.parquet."""
    prefix = quoted(store.uri("x").removesuffix("x"))
    return f"""
        SELECT CASE WHEN a.row_id = a.key THEN o.key ELSE a.row_id END AS row_id, a.image_index, o.key, o.status,
            o.ledger_status, o.code, o.detail, coalesce(k.what_to_do, '') AS what_to_do,
            CASE WHEN o.first <> o.ordinal THEN f.row_id ELSE '' END AS duplicate_of,
            CASE WHEN t.image_path <> '' THEN {prefix} || t.image_path ELSE '' END AS image_uri,
            coalesce(t.image_path, '') AS image_path, t.image_sha256, t.image_bytes,
            coalesce(t.stage, a.stage) AS stage, t.attempt, t.run_id, t.finished_at, t.seconds, t.warnings,
            t.settings, t.reference_uris, t.reference_faces, t.reference_score,
            t.target_keypoints, {_FINDINGS_SQL},
            a.recipe, a.prompt, a.negative_prompt, a.seed, a.width, a.height, a.num_images, a.output_name,
            coalesce(t.image_format, a.output_format) AS output_format, {_LABELS_SQL}, a.replaces, a.carried, a.position
        FROM outcomes o
        JOIN {parquet(scratch / "asked.parquet")} a
            ON a.position * {ORDINALS_PER_ROW} + a.image_index = o.ordinal
        JOIN asked f ON f.ordinal = o.first
        LEFT JOIN codes k ON k.code = o.code
        LEFT JOIN told t ON t.key = o.key
        ORDER BY o.ordinal"""


def _free_names(names: Sequence[str]) -> list[str]:
    """Return what the shop's own columns are called in the results: `manifest_` goes before a name that is taken."""
    taken = {*_RESULT_NAMES, *(name.casefold() for name in names if name.casefold() not in _RESULT_NAMES)}
    free = []
    for name in names:
        made = name
        while made.casefold() in (_RESULT_NAMES if made == name else taken):
            made = f"manifest_{made}"
        taken.add(made.casefold())
        free.append(made)
    return free


def _write_results(
    connection: duckdb.DuckDBPyConnection, store: ObjectStore, scratch: Path, addresses: Addresses
) -> None:
    staged = read_staged(scratch)
    own = carried_columns(staged.schema.names)
    reader = connection.sql(_results_sql(store, scratch)).to_arrow_reader(_BATCH_ROWS)
    with closing(RowReader(staged.path, own, POSITION)) as rows:
        fields = [field.with_name(name) for field, name in zip(rows.schema, _free_names(own), strict=True)]
        schema = pa.schema([*reader.schema, *fields])
        with pq.ParquetWriter(scratch / "results.parquet", schema, compression="zstd") as writer:
            for batch in reader:
                columns = [change_texts(column, addresses.clean) for column in rows.take(batch.column("position"))]
                writer.write_batch(pa.RecordBatch.from_arrays([*batch.columns, *columns], schema=schema))


def _write_failed(connection: duckdb.DuckDBPyConnection, scratch: Path, addresses: Addresses) -> None:
    """Write one row per manifest row that has a picture which is not ok, as it was, with why."""
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
    return change_texts(column, addresses.clean) if field.name not in BY_NAME else column


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


def _balance(connection: duckdb.DuckDBPyConnection) -> Balance:
    by_status = dict(connection.execute("SELECT status, count(*) FROM outcomes GROUP BY status").fetchall())
    asked = connection.execute("SELECT count(*) FROM asked").fetchall()
    codes = connection.execute("""
        SELECT code, count(*) FROM outcomes WHERE status IN ('rejected', 'failed') GROUP BY code ORDER BY code""")
    names = ("ok", "rejected", "failed", "skipped", "unfinished")
    return Balance(
        asked=int(asked[0][0]),
        **{name: by_status.get(name, 0) for name in names},
        codes=dict(codes.fetchall()),
    )
