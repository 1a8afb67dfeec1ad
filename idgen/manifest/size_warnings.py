"""The warning about sizes that SDXL was not trained on."""

from collections.abc import Mapping
from pathlib import Path

import duckdb

from idgen.manifest.asked_pictures import ORDINAL
from idgen.manifest.database import parquet
from idgen.manifest.warning import PlanWarning
from idgen.recipes.families import FAMILIES
from idgen.recipes.recipe import Recipe
from idgen.recipes.sizes import near_trained, nearest_size

SHOWN = 3
"""Sizes that the warning names, the commonest ones."""
_MADE_FOR_PIXELS = 2**19
"""A recipe whose own size has fewer (on sdxl-turbo, in the tiny world) is made for other sizes than SDXL's."""


def untrained_sizes(
    connection: duckdb.DuckDBPyConnection, recipes: Mapping[str, Recipe], scratch: Path, chosen: str
) -> list[PlanWarning]:
    """Return the warning about sizes of the `chosen` pictures, if any; a recipe's own size is its author's choice."""
    asked = connection.execute(f"""
        SELECT a.recipe, a.width, a.height, count(*), min(c.ordinal), arg_min(a.row_id, c.ordinal)
        FROM {parquet(scratch / "asked.parquet")} a JOIN {chosen} c ON {ORDINAL} = c.ordinal
        GROUP BY a.recipe, a.width, a.height""").fetchall()
    counts: dict[tuple[int, int], int] = {}
    firsts: list[tuple[int, str]] = []
    for name, width, height, count, ordinal, row_id in asked:
        if _is_untrained(recipes[name], width, height):
            counts[width, height] = counts.get((width, height), 0) + count
            firsts.append((ordinal, row_id))
    return [PlanWarning("size_untrained", _text(counts), sum(counts.values()), min(firsts)[1])] if counts else []


def _is_untrained(recipe: Recipe, width: int, height: int) -> bool:
    own = (recipe.defaults.width, recipe.defaults.height)
    trained_on_these = FAMILIES[recipe.base.kind].bucketed_sizes
    if not trained_on_these or own == (width, height) or own[0] * own[1] < _MADE_FOR_PIXELS:
        return False
    return not near_trained(width, height)


def _text(counts: Mapping[tuple[int, int], int]) -> str:
    common = sorted(counts, key=lambda size: (-counts[size], size))
    told = [f"{_spelled(size)} (the nearest is {_spelled(nearest_size(*size))})" for size in common[:SHOWN]]
    more = f" and {len(common) - SHOWN} more" if len(common) > SHOWN else ""
    return f"bases of SDXL's size were not trained on {', '.join(told)}{more}"


def _spelled(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
