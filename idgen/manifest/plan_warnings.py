"""The plan's warnings: nothing is refused for them; each kind is reported once, with a count and one row's id.

Only pictures that are to be made count, and of their prompts only what the manifest says itself: a recipe's own default
is its author's choice.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from idgen.manifest.asked_pictures import ORDINAL
from idgen.manifest.database import parquet, quoted
from idgen.manifest.prompt_kinds import KINDS, PromptKind
from idgen.manifest.prompt_lengths import CounterOf, long_prompts
from idgen.manifest.reading import StagedManifest
from idgen.manifest.size_warnings import untrained_sizes
from idgen.manifest.tries_warnings import idle_tries
from idgen.manifest.warning import PlanWarning
from idgen.recipes.families import FAMILIES
from idgen.recipes.recipe import Recipe


def plan_warnings(
    connection: duckdb.DuckDBPyConnection,
    staged: StagedManifest,
    recipes: Mapping[str, Recipe],
    scratch: Path,
    chosen: str,
    counter_of: CounterOf,
) -> list[PlanWarning]:
    """Return the warnings about the `chosen` pictures (planner.TO_MAKE), which table `verdicts` calls to make."""
    of_manifest = [*_unused_folders(connection, staged), *idle_tries(connection, staged, scratch, chosen)]
    named = connection.execute("SELECT DISTINCT recipe FROM verdicts WHERE verdict = 'make' ORDER BY recipe").fetchall()
    if not named:
        return of_manifest
    _load_texts(connection, [recipes[name] for (name,) in named], scratch, chosen)
    return [
        *of_manifest,
        *_of_kinds(connection),
        *long_prompts(connection, recipes, counter_of),
        *untrained_sizes(connection, recipes, scratch, chosen),
    ]


def _unused_folders(connection: duckdb.DuckDBPyConnection, staged: StagedManifest) -> list[PlanWarning]:
    """Return a warning where the manifest's own folder is called recipe=x, which gives its rows no column."""
    ((pictures, row_id),) = connection.execute("""
        SELECT count(*), arg_min(row_id, ordinal) FROM asked SEMI JOIN verdicts v
        ON asked.ordinal = v.ordinal AND v.verdict = 'make'""").fetchall()
    if not pictures or not staged.unused_folders:
        return []
    folders = ", ".join(staged.unused_folders)
    text = f"folder {folders} gives no column, because it is the given folder itself; give its parent folder"
    return [PlanWarning("folder_column", text, pictures, row_id)]


def _load_texts(connection: duckdb.DuckDBPyConnection, recipes: Sequence[Recipe], scratch: Path, chosen: str) -> None:
    """Make view `own_texts`: what the manifest itself says in the prompts of each picture; null = nothing."""
    texts = {
        "own_prompt": [recipe.defaults.prompt for recipe in recipes],
        "own_negative": [recipe.defaults.negative_prompt for recipe in recipes],
    }
    readers = {
        "recipe": pa.array([recipe.name for recipe in recipes]),
        "clip": pa.array([FAMILIES[recipe.base.kind].clip_text for recipe in recipes]),
        "weighted": pa.array([recipe.prompt_syntax == "weighted" for recipe in recipes]),
        **{name: pa.array(cells, pa.string()) for name, cells in texts.items()},
    }
    connection.register("readers", pa.table(readers))
    connection.execute(f"""
        CREATE OR REPLACE TEMP VIEW own_texts AS
        SELECT {ORDINAL} AS ordinal, a.row_id, a.recipe, r.clip, r.weighted,
            CASE WHEN a.prompt IS DISTINCT FROM r.own_prompt THEN a.prompt END AS prompt,
            CASE WHEN a.guidance_scale > 1 AND a.negative_prompt IS DISTINCT FROM r.own_negative
                THEN a.negative_prompt END AS negative_prompt
        FROM {parquet(scratch / "asked.parquet")} a
        JOIN {chosen} c ON {ORDINAL} = c.ordinal JOIN readers r ON r.recipe = a.recipe""")


def _of_kinds(connection: duckdb.DuckDBPyConnection) -> list[PlanWarning]:
    """Return what the prompts hold of KINDS, in one pass over them."""
    columns = []
    for kind in KINDS:
        filtered = f"FILTER (WHERE {_holds(kind)})"
        columns += [f"count(*) {filtered}", f"arg_min(row_id, ordinal) {filtered}"]
    (counted,) = connection.execute(f"""
        SELECT {", ".join(columns)}
        FROM (SELECT *, concat_ws(chr(10), prompt, negative_prompt) AS text FROM own_texts)""").fetchall()
    pairs = zip(KINDS, counted[::2], counted[1::2], strict=True)
    return [PlanWarning(kind.code, kind.text, count, row_id) for kind, count, row_id in pairs if count]


def _holds(kind: PromptKind) -> str:
    condition = f"regexp_matches(text, {quoted(kind.pattern)})"
    if kind.clip_only:
        return f"clip AND {condition}"
    return f"NOT weighted AND {condition}" if kind.weight else condition
