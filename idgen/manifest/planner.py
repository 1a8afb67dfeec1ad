"""The plan: what a run will make, what it leaves alone and what it refuses, before any accelerator starts.

    manifest → stage → resolve → asked.parquet → judge (DuckDB against the ledger) → sort → shards

Everything but a few batches lives on disk: in `scratch` and in runs/<run_id>/plan/*.parquet. Both hold addresses with
their signatures; whoever calls deletes them when the run ends, however it ends.
"""

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import duckdb
import pyarrow as pa

from idgen.checks.picture import Instrument
from idgen.config import Config
from idgen.errors import Code
from idgen.manifest.addresses import Addresses
from idgen.manifest.asked_pictures import ORDINAL, check_photos
from idgen.manifest.asking import Asked, Asking
from idgen.manifest.database import LEDGER_COLUMNS, open_database, parquet, quoted, register_ledger
from idgen.manifest.forbidden_addresses import refuse_forbidden
from idgen.manifest.names import carried_columns
from idgen.manifest.plan_warnings import plan_warnings
from idgen.manifest.prompt_lengths import CounterOf
from idgen.manifest.reading import StagedManifest, stage
from idgen.manifest.refusals import write_refused
from idgen.manifest.settings import SettingsTable
from idgen.manifest.shards import REFERENCE, ShardRef, cut_stream, free_part, sizes, write_shards
from idgen.manifest.verdicts import Force, check_force, judge, load_codes
from idgen.manifest.warning import PlanWarning
from idgen.outputs.ledger import newest_sql, reading_ledger
from idgen.recipes.gates import policies
from idgen.recipes.recipe import Recipe
from idgen.sources.precheck import Precheck
from idgen.stores.protocol import ObjectStore

_SORT_BATCH_ROWS = 16_384
UNKNOWN_SHOWN = 3
_NO_NETWORKS: Mapping[Instrument, str] = {}


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanSummary:
    """What the plan counted. asked = to_make + duplicates + skipped + refused, over pictures."""

    run_id: str
    part: str
    """Pass whose shards were written: shards(store, run_id, part)."""
    rows: int
    """Manifest rows that were read."""
    asked: int
    to_make: int
    """Distinct pictures in the shards."""
    duplicates: int
    """Pictures to make whose key an earlier one has too; they share its picture and its status."""
    skipped: dict[str, int] = field(default_factory=dict)
    """By what the ledger says."""
    refused: dict[str, int] = field(default_factory=dict)
    """By code."""
    recipes: dict[str, int] = field(default_factory=dict)
    """Distinct pictures to make by recipe."""
    settled: dict[str, int] = field(default_factory=dict)
    """Pictures that are left as they are, by recipe."""
    load_groups: dict[str, int] = field(default_factory=dict)
    """Shards by load group, in plan order."""
    shards: int = 0
    gpu_seconds: float = 0.0
    """Estimate from the recipes' seconds_per_picture."""
    refused_new: int = 0
    """Refused pictures whose refusal the ledger does not have yet: 0 when plan/refused.parquet is empty."""
    own_columns: list[str] = field(default_factory=list)
    """The manifest's columns that idgen does not know and only carries along."""
    blank_rows: int = 0
    """Rows of the manifest without any value; they are not in `rows`."""
    unknown_ids: int = 0
    """Ids of `select.file` that no row has."""
    unknown_like: list[str] = field(default_factory=list)
    """The first few of them."""
    ordered: int = 0
    """Pictures that this run ordered in the place of rejected ones."""
    warnings: list[PlanWarning] = field(default_factory=list)
    """What may not be as it is meant in pictures to make, each kind once."""


def plan(
    manifest: str,
    recipes: Mapping[str, Recipe],
    recipe_hashes: Mapping[str, str],
    config: Config,
    store: ObjectStore,
    run_id: str,
    *,
    ledger_files: Sequence[str],
    schedulers: Collection[str],
    scratch: Path,
    into: ObjectStore | None = None,
    force: Force | None = None,
    counter_of: CounterOf = lambda recipe: None,
    foresee: Callable[[str], Precheck] | None = None,
    networks: Mapping[Instrument, str] = _NO_NETWORKS,
) -> PlanSummary:
    """Plan a run: write shards, summary.json, refused.csv and refused.parquet into its plan folder.

    The folder is in `into`, without it in `store`. `ledger_files` are paths in `store`; `schedulers` the names a row
    may use. `scratch` must be empty or this run's own, and must stay for plan_retries and write_results. `select.limit`
    counts pictures that `force` picks. `counter_of` makes what counts the tokens of long prompts, `foresee`, of the
    manifest's folder, what judges addresses; without it none is judged; `networks` are those that measure pictures,
    with their sha256. Raises StoreError, and RunError(USAGE) for a manifest, selection or force that cannot be used as
    a whole; a row that cannot be used is refused and stops nothing.
    """
    if force is not None:
        check_force(force)
    into = into or store
    scratch.mkdir(parents=True, exist_ok=True)
    staged = stage(manifest, scratch)
    addresses = Addresses(staged.folder, config.sources.signature_parameters, config.sources.secret_parameters)
    table = SettingsTable(
        recipes,
        recipe_hashes,
        default_recipe=config.recipe,
        default_format=config.images.format,
        schedulers=schedulers,
        policy=policies(config.gates, networks, config.checks.white_ground.shots),
        telling_shots=config.checks.white_ground.shots,
    )
    with open_database(scratch, config.planner.memory_mb) as connection:
        asking = Asking(connection, staged, table, addresses, config, scratch)
        asked = asking.ask(store, run_id, ledger_files, force)
        check_photos(connection, staged, addresses)
        load_codes(connection)
        judge(
            connection, store, ledger_files,
            max_attempts=config.run.max_attempts, force=force, limit=config.select.limit,
        )  # fmt: skip
        missing = refuse_forbidden(connection, scratch, TO_MAKE, foresee(staged.folder)) if foresee else []
        part = free_part(store, run_id, ledger_files)
        refs = _write_sorted(connection, into, run_id, part, recipes, config, scratch, TO_MAKE)
        refused_new = write_refused(connection, store, run_id, ledger_files, scratch, into)
        summary = _summary(connection, run_id, part, asked.rows, refs, recipes, refused_new)
        more = plan_warnings(connection, staged, recipes, scratch, TO_MAKE, counter_of)
    summary = _with_asked(summary, staged, asked, [*missing, *more])
    into.put(f"runs/{run_id}/plan/summary.json", json.dumps(asdict(summary), indent=2).encode())
    return summary


def _with_asked(summary: PlanSummary, staged: StagedManifest, asked: Asked, warnings: list[PlanWarning]) -> PlanSummary:
    """Return the summary with what reading the manifest and asking for its pictures told."""
    return replace(
        summary,
        own_columns=carried_columns(staged.schema.names),
        blank_rows=staged.blank_rows,
        unknown_ids=len(asked.lost),
        unknown_like=asked.lost[:UNKNOWN_SHOWN],
        ordered=asked.ordered,
        warnings=warnings,
    )


def plan_retries(
    recipes: Mapping[str, Recipe],
    config: Config,
    store: ObjectStore,
    run_id: str,
    *,
    ledger_files: Sequence[str],
    scratch: Path,
) -> tuple[str, list[ShardRef]]:
    """Plan another pass over what failed in this run and may be tried again; return its part and shards (maybe none).

    Counts the attempts of the ledger; a picture at `run.max_attempts` is left failed. Needs the `scratch` of `plan`.
    Raises StoreError.
    """
    with open_database(scratch, config.planner.memory_mb) as connection:
        register_ledger(connection, store, ledger_files)
        this_run = f"(SELECT {LEDGER_COLUMNS} FROM ledger_rows WHERE run_id = {quoted(run_id)})"
        with reading_ledger():
            connection.execute(f"""
                CREATE OR REPLACE TABLE retries AS
                SELECT v.ordinal, (l.attempt + 1)::INTEGER AS attempt
                FROM ({newest_sql(this_run)}) l
                JOIN verdicts v ON v.key = l.key AND v.first = v.ordinal AND v.verdict = 'make'
                WHERE l.status = 'failed' AND l.retriable AND l.attempt < {int(config.run.max_attempts)}
                    AND l.code <> '{Code.EXTRA_BUDGET_SPENT}'  -- this run has no further try to give""")
        if not _one(connection, "SELECT count(*) FROM retries"):
            return "", []
        part = free_part(store, run_id, ledger_files)
        return part, _write_sorted(connection, store, run_id, part, recipes, config, scratch, RETRIES)


TO_MAKE = "(SELECT ordinal, attempt FROM verdicts WHERE verdict = 'make' AND first = ordinal)"
RETRIES = "retries"
"""What a pass is over: relations of a planned `scratch` with `ordinal` and `attempt`; the second after plan_retries."""


def _write_sorted(
    connection: duckdb.DuckDBPyConnection,
    store: ObjectStore,
    run_id: str,
    part: str,
    recipes: Mapping[str, Recipe],
    config: Config,
    scratch: Path,
    chosen: str,
) -> list[ShardRef]:
    """Sort the chosen pictures (relation with `ordinal`, `attempt`), cut them and write the shards."""
    named = connection.execute("SELECT DISTINCT recipe FROM verdicts WHERE verdict = 'make'").fetchall()
    sizes_of = {name: sizes(recipes[name], config.planner, config.sampling.batch_size) for (name,) in named}
    batches: Iterable[pa.RecordBatch] = connection.sql(f"""
        SELECT a.* REPLACE (c.attempt AS attempt),
            coalesce(nullif(array_to_string(a.reference_uris, chr(10)), ''), a.ip_adapter_image_uri, '') AS {REFERENCE}
        FROM {parquet(scratch / "asked.parquet")} a JOIN {chosen} c ON {ORDINAL} = c.ordinal
        ORDER BY a.recipe, load_group, bucket, {REFERENCE}, face_select, ip_adapter_image_uri, prompt, c.ordinal
        """).to_arrow_reader(_SORT_BATCH_ROWS)
    return write_shards(store, run_id, part, cut_stream(batches, sizes_of), scratch)


def _summary(
    connection: duckdb.DuckDBPyConnection,
    run_id: str,
    part: str,
    rows: int,
    refs: list[ShardRef],
    recipes: Mapping[str, Recipe],
    refused_new: int,
) -> PlanSummary:
    def counts(column: str, condition: str) -> dict[str, int]:
        """Return how many verdicts meet `condition`, by `column`."""
        query = f"SELECT {column}, count(*) FROM verdicts WHERE {condition} GROUP BY {column} ORDER BY {column}"
        return dict(connection.execute(query).fetchall())

    by_recipe = counts("recipe", "verdict = 'make' AND first = ordinal")
    load_groups: dict[str, int] = {}
    for ref in refs:
        load_groups[ref.load_group] = load_groups.get(ref.load_group, 0) + 1
    return PlanSummary(
        run_id=run_id,
        part=part,
        rows=rows,
        asked=_one(connection, "SELECT count(*) FROM verdicts"),
        to_make=sum(by_recipe.values()),
        duplicates=_one(connection, "SELECT count(*) FROM verdicts WHERE verdict = 'make' AND first <> ordinal"),
        skipped=counts("ledger_status", "verdict = 'skipped'"),
        refused=counts("code", "verdict = 'refused'"),
        recipes=by_recipe,
        settled=counts("recipe", "verdict = 'skipped'"),
        load_groups=load_groups,
        shards=len(refs),
        gpu_seconds=sum(recipes[name].seconds_per_picture * count for name, count in by_recipe.items()),
        refused_new=refused_new,
    )


def _one(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    return int(connection.execute(query).fetchall()[0][0])
