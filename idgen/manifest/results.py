"""The results of a run: results.parquet, failed.parquet, and the count of every picture asked for.

Both files come from a streaming join of what was asked (scratch) with the ledger: nothing of it is kept in memory while
a run goes on. A picture's status is this run's, also of what it made before a crash; `ledger_status` is what the
catalogue holds, which differs for skipped pictures and where a forced second try failed beside an older ok.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from idgen.checks.table import FINDING_COLUMNS
from idgen.columns import LABELS
from idgen.manifest.addresses import Addresses
from idgen.manifest.asked_pictures import ORDINALS_PER_ROW
from idgen.manifest.balance import Balance, balance_of
from idgen.manifest.database import LEDGER_COLUMNS, open_database, parquet, quoted, register_ledger
from idgen.manifest.failed_rows import write_failed
from idgen.manifest.lineage import runs_of_lineage
from idgen.manifest.names import carried_columns
from idgen.manifest.own_columns import RowReader, change_texts
from idgen.manifest.reading import POSITION, read_staged
from idgen.manifest.result_names import Names
from idgen.manifest.result_reviews import load_earlier, load_reviews
from idgen.manifest.standing_decisions import outdated_rejections, standing_decisions
from idgen.outputs.ledger import newest_sql, reading_ledger
from idgen.outputs.named import Mended, NamedSlot
from idgen.outputs.publishing import Publish
from idgen.outputs.stored_images import IMAGE_REPLACED
from idgen.stores.protocol import ObjectStore

_BATCH_ROWS = 16_384
_LABELS_SQL = ", ".join(f"a.{name}" for name in LABELS)
_FINDINGS = tuple(column.name for column in FINDING_COLUMNS)
_FINDINGS_SQL = ", ".join(f"t.{name}" for name in _FINDINGS)
_TOLD_COLUMNS = ", ".join(
    (
        f"{LEDGER_COLUMNS}, detail, stage, image_path, image_sha256, image_bytes, image_format, settings, seconds",
        "warnings, reference_uris, reference_faces, reference_score, target_keypoints, verdict, tries_made, seed",
        *_FINDINGS,
    )
)
_NEWEST_READ = f"{LEDGER_COLUMNS}, image_path, image_bytes, image_sha256, warnings, verdict, perceptual_hash"
_NEWEST = f"""key, status, finished_at, image_path, image_bytes, image_sha256, perceptual_hash,
    coalesce(verdict, '') AS verdict,
    coalesce(contains(chr(10) || array_to_string(warnings, chr(10)), chr(10) || '{IMAGE_REPLACED}:'), false)
        AS image_replaced"""
_RESULT_NAMES = frozenset(
    {
        "key", "position", "status", "ledger_status", "code", "detail", "what_to_do", "duplicate_of", "image_uri",
        "image_path", "image_sha256", "image_bytes", "image_index", "stage", "attempt", "run_id", "finished_at",
        "seconds", "warnings", "settings", "reference_faces", "reference_score", "replaces", "carried",
        "target_keypoints", "verdict", "tries_made", "decision", "decision_reason", "decided_by", "decided_at",
        "previous_key", "previous_image_path", "near_duplicate_of", "named_path", *_FINDINGS,
    }
)  # fmt: skip
"""Columns of results.parquet that no manifest column is named after."""


Mend = Callable[[Iterable[NamedSlot]], Mended]
"""outputs/named.py's, or what a test does instead."""


def write_results(
    store: ObjectStore,
    run_id: str,
    *,
    ledger_files: Sequence[str],
    scratch: Path,
    signature_parameters: Sequence[str],
    memory_mb: int,
    manifest: str = "",
    publish: Publish = "not_held",
    near_bits: int = 0,
    mend: Mend | None = None,
) -> Balance:
    """Write the run's results.parquet and failed.parquet and return the balance. Needs the `scratch` of `plan`.

    results.parquet: one row per picture, in the manifest's order, with the shop's own columns (one whose name is taken
    gets `manifest_` in front). failed.parquet: every manifest row with a picture that is not in the catalogue, with the
    manifest's own columns (addresses absolute, without signatures) and idgen_status, idgen_code, idgen_detail,
    idgen_what_to_do; a manifest may hold such columns, they are not read. `manifest` is the run's: pictures of runs
    with another one are not told as `previous_key`. `mend` is given what each name should show,
    before the results are written; without it no name is said to show anything. Raises StoreError.
    """
    with open_database(scratch, memory_mb) as connection:
        register_ledger(connection, store, ledger_files)
        decisions = standing_decisions(connection, store, ledger_files)
        asked = parquet(scratch / "asked.parquet")
        load_earlier(connection, asked, decisions, lambda runs: runs_of_lineage(store, runs, manifest))
        with reading_ledger():
            _load_outcomes(connection, run_id)
        load_reviews(connection, decisions, near_bits)
        names = Names(connection, publish, outdated_rejections(store, decisions))
        mended = mend(names.slots()) if mend else Mended()
        names.load(mended.missing)
        folder = f"runs/{run_id}"
        addresses = Addresses(read_staged(scratch).folder, signature_parameters)
        _write_results(connection, store, scratch, addresses)
        store.put_file(f"{folder}/results.parquet", scratch / "results.parquet")
        write_failed(connection, scratch, addresses)
        store.put_file(f"{folder}/failed.parquet", scratch / "failed.parquet")
        return balance_of(connection, withdrawn=len(mended.withdrawn))


def _load_outcomes(connection: duckdb.DuckDBPyConnection, run_id: str) -> None:
    """Make tables `told` (per key the ledger row to tell of), `newest` (what the catalogue holds, of earlier pictures
    too) and `outcomes` (per picture its status).
    """
    connection.execute(f"""
        CREATE OR REPLACE TABLE asked_keys AS SELECT DISTINCT key, verdict AS planned FROM verdicts;
        CREATE OR REPLACE TABLE known_keys AS SELECT key FROM of_row UNION SELECT key FROM earlier;
        CREATE OR REPLACE TABLE newest AS {newest_sql(_OF_KEYS.format(_NEWEST_READ, "known_keys", "true"), _NEWEST)};
        CREATE OR REPLACE TABLE told AS
        {newest_sql(_OF_KEYS.format(_TOLD_COLUMNS, "asked_keys", f"planned = 'skipped' OR run_id = {quoted(run_id)}"))};
        CREATE OR REPLACE TABLE outcomes AS
        SELECT v.ordinal, v.key, v.first,
            CASE WHEN v.verdict = 'refused' THEN 'rejected' WHEN v.verdict = 'skipped' AND t.run_id <> {quoted(run_id)}
                 THEN 'skipped' ELSE coalesce(t.status, 'unfinished') END AS status,
            coalesce(n.status, '') AS ledger_status,
            coalesce(CASE v.verdict WHEN 'refused' THEN v.code ELSE t.code END, '') AS code,
            coalesce(CASE v.verdict WHEN 'refused' THEN v.detail ELSE t.detail END, '') AS detail
        FROM verdicts v LEFT JOIN told t ON t.key = v.key LEFT JOIN newest n ON n.key = v.key""")


_OF_KEYS = "(SELECT {} FROM ledger_rows JOIN {} USING (key) WHERE {})"


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
            t.target_keypoints, {_FINDINGS_SQL}, coalesce(t.verdict, '') AS verdict,
            coalesce(t.tries_made, '') AS tries_made,
            coalesce(d.decision, '') AS decision, coalesce(d.reason, '') AS decision_reason,
            coalesce(d.decided_by, '') AS decided_by, d.decided_at, coalesce(b.key, '') AS previous_key,
            coalesce(b.image_path, '') AS previous_image_path, near.near_duplicate_of,
            coalesce(named.named_path, '') AS named_path,
            a.recipe, a.prompt, a.negative_prompt, coalesce(t.seed, a.seed) AS seed, a.width, a.height, a.num_images,
            a.output_name,
            coalesce(t.image_format, a.output_format) AS output_format, {_LABELS_SQL}, a.replaces, a.carried, a.position
        FROM outcomes o
        JOIN {parquet(scratch / "asked.parquet")} a
            ON a.position * {ORDINALS_PER_ROW} + a.image_index = o.ordinal
        JOIN asked f ON f.ordinal = o.first
        LEFT JOIN codes k ON k.code = o.code
        LEFT JOIN told t ON t.key = o.key
        LEFT JOIN decided d ON d.key = o.key
        LEFT JOIN previous b ON b.ordinal = o.ordinal
        LEFT JOIN near ON near.ordinal = o.ordinal
        LEFT JOIN named ON named.ordinal = o.ordinal
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
