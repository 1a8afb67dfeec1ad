"""The checks of columns.py for cells with several values: lists, boxes, tables of strengths.

From CSV and JSONL they come as text: a JSON array or object, or parts separated by |.
"""

import json
import re

from idgen.values import Cell, Check, RecipeFacts, bad, float32

_SHA256 = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)


def texts(name: str, value: Cell, recipe: RecipeFacts) -> list[str]:
    """Return a list of non-empty texts; from text a JSON array, or else parts separated by |."""
    items: list[Cell] = value
    if isinstance(value, str):
        items = _json_list(name, value) if value.lstrip().startswith("[") else value.split("|")
    items = [item.strip() if isinstance(item, str) else item for item in items]
    if not all(isinstance(item, str) and item for item in items):
        raise bad(name, "must be a list of texts without empty entries")
    return items


def uris(name: str, value: Cell, recipe: RecipeFacts) -> list[str]:
    """Return a list of addresses, in the forms of `texts`; each is checked as one where it is read."""
    return texts(name, value, recipe)


def sha256s(name: str, value: Cell, recipe: RecipeFacts) -> list[str]:
    """Return a list of SHA-256 sums in lower case."""
    sums = texts(name, value, recipe)
    if not all(_SHA256.fullmatch(item) for item in sums):
        raise bad(name, "must be 64 hex digits")
    return [item.lower() for item in sums]


def shares(count: int, low: float, high: float) -> Check:
    """Check for `count` shares of the picture in low..high; from text a JSON array, or else parts separated by |."""

    def check(name: str, value: Cell, recipe: RecipeFacts) -> list[float]:
        """Return the checked value; RowError that names the column otherwise."""
        items = value
        if isinstance(value, str):
            items = _json_list(name, value) if value.lstrip().startswith("[") else value.split("|")
        if len(items) != count:
            commas = isinstance(value, str) and len(items) == 1 and "," in value
            raise bad(name, f"must be {count} numbers" + (" separated by |" if commas else ""))
        return [float32(name, item, low, high, "; they are shares of the picture, not pixels") for item in items]

    return check


def box(name: str, value: Cell, recipe: RecipeFacts) -> list[float]:
    """Return left, top, right, bottom in 0..1 of the output."""
    left, top, right, bottom = shares(4, 0.0, 1.0)(name, value, recipe)
    if left >= right or top >= bottom:
        raise bad(name, "must be left < right and top < bottom")
    return [left, top, right, bottom]


def scales(name: str, value: Cell, recipe: RecipeFacts) -> list[tuple[str, float]]:
    """Return strengths by adapter name, sorted; from text a JSON object, from Parquet a map or struct, or a dict."""
    known = {adapter.name for adapter in recipe.adapters}
    found = _json(name, value) if isinstance(value, str) else value
    if isinstance(value, str) and not isinstance(found, dict):
        raise bad(name, "must be an object that maps adapter names to numbers")
    pairs: list[tuple[str, Cell]] = list(found.items()) if isinstance(found, dict) else found
    if not {adapter for adapter, _ in pairs} <= known:
        raise bad(name, f"the recipe's adapters are {', '.join(sorted(known))}")
    return sorted((adapter, float32(name, scale, 0.0, 10.0)) for adapter, scale in pairs)


def _json(name: str, value: str) -> Cell:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise bad(name, "is no JSON") from None


def _json_list(name: str, value: str) -> list[Cell]:
    items = _json(name, value)
    if not isinstance(items, list):
        raise bad(name, "is not a JSON array")
    return items
