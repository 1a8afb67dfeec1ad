"""Prompts that are longer than their text encoder reads, found before anything is sampled."""

from collections.abc import Callable, Mapping, Sequence

import duckdb

from idgen.manifest.warning import PlanWarning
from idgen.recipes.recipe import Recipe

CountCut = Callable[[Sequence[str]], list[int]]
"""Returns of each text how many tokens at its end are not read."""
CounterOf = Callable[[Recipe], CountCut | None]
"""Returns a recipe's counter, None where its tokenizer cannot be read here; then sampling tells of each row."""

_SURELY_FITS_BYTES = 75
"""A byte is one token at most, and no text encoder reads fewer than 75."""
_BATCH_TEXTS = 4096


def long_prompts(
    connection: duckdb.DuckDBPyConnection, recipes: Mapping[str, Recipe], counter_of: CounterOf
) -> list[PlanWarning]:
    """Return what to tell about the prompts and the negative prompts of view `own_texts`; each text is read once."""
    found = (_long(connection, column, recipes, counter_of) for column in ("prompt", "negative_prompt"))
    return [warning for warning in found if warning is not None]


def _long(
    connection: duckdb.DuckDBPyConnection, column: str, recipes: Mapping[str, Recipe], counter_of: CounterOf
) -> PlanWarning | None:
    texts = connection.execute(f"""
        SELECT recipe, {column}, count(*), min(ordinal), arg_min(row_id, ordinal) FROM own_texts
        WHERE strlen({column}) > {_SURELY_FITS_BYTES} GROUP BY recipe, {column} ORDER BY recipe""")
    pictures, most, first = 0, 0, (-1, "")
    counters: dict[str, CountCut | None] = {}
    while batch := texts.fetchmany(_BATCH_TEXTS):
        for name in dict.fromkeys(row[0] for row in batch):
            if name not in counters:
                counters[name] = counter_of(recipes[name])
            count, rows = counters[name], [row for row in batch if row[0] == name]
            for cut, row in zip(count([row[1] for row in rows]), rows, strict=True) if count else ():
                if cut:
                    pictures, most = pictures + row[2], max(most, cut)
                    first = min(first, row[3:]) if first[0] >= 0 else row[3:]
    if not pictures:
        return None
    text = f"longer than what the text encoder reads, by up to {most} tokens; the end has no effect"
    return PlanWarning(f"{column}_cut", text, pictures, first[1])
