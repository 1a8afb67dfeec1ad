"""The manifest's header: columns that look like a slip of the pen, and columns of a type that cannot be used."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.types as pt

from idgen.errors import Exit, RunError
from idgen.manifest.columns import BY_NAME, COLUMNS, Column

OWN_PREFIX = "idgen_"
"""Columns that idgen itself adds to failed.parquet; a manifest may bring them along, they are not read."""

_WORDS = frozenset({"persona", "personas", "schedule", "scheduled", "schedules"})
"""Words of shops that happen to lie near a word of ours."""
_ADDRESSES = frozenset({"uri", "uris", "url", "urls"})
_SHORT_CHARS, _LONG_CHARS = 4, 8


def check_header(schema: pa.Schema) -> None:
    """Raise RunError(USAGE) for a header that cannot be meant: twice the same name, a near miss, a wrong type."""
    check_names(schema.names)
    for field in schema:
        column = BY_NAME.get(field.name)
        if column is not None and not _fits(field.type, column):
            raise RunError(
                Exit.USAGE,
                f"manifest: column {field.name} is {field.type}, it must be {_wanted(column)}"
                + ("; ids are text, so that 0123 stays 0123" if column.type == pa.string() else ""),
            )


def check_names(names: Sequence[str]) -> None:
    """Raise RunError(USAGE) when two names differ in nothing but case, or one is nearly a known one."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.casefold(), name)
        if other is not name or list(names).count(name) > 1:
            raise RunError(Exit.USAGE, f"manifest: columns {other!r} and {name!r} are hard to tell apart")
    for name in names:
        meant = near_miss(name)
        if meant:
            raise RunError(
                Exit.USAGE,
                f"manifest: column {name!r} is unknown; did you mean {meant}? (your own columns need other names)",
            )


def carried_columns(names: Sequence[str]) -> list[str]:
    """Return the shop's own columns, in the manifest's order."""
    return [name for name in names if name not in BY_NAME and not name.startswith(OWN_PREFIX)]


def near_miss(name: str) -> str | None:
    """Return the known column that `name` is probably meant to be, or None.

    Case, spaces, dashes and lost underscores are always slips. Else it must have as many words as the known name, and
    each must be the same but for a slip of the pen (`_is_slip`). One word of up to four letters says too little: `size`
    is not `seed`.
    """
    if name in BY_NAME or name.startswith(OWN_PREFIX):
        return None
    plain = name.strip().casefold().replace("-", "_").replace(" ", "_")
    for known in BY_NAME:
        if plain.replace("_", "") == known.replace("_", ""):
            return known
    if len(plain) <= _SHORT_CHARS:
        return None
    near = [column.name for column in COLUMNS if _is_near(plain.split("_"), column.name.split("_"))]
    return min(near, key=lambda known: slips_between(plain, known)) if near else None


def _is_near(words: list[str], known: list[str]) -> bool:
    return len(words) == len(known) and all(
        word == meant or _is_slip(word, meant) for word, meant in zip(words, known, strict=True)
    )


def _is_slip(word: str, meant: str) -> bool:
    """Whether `word` is probably a slip for `meant`: the first letter stays (`weight` is not `height`).

    A letter more, less or other, or two swapped; two of that in words from eight letters, only a swap in those up to
    four. `url` is `uri`.
    """
    if {word, meant} <= _ADDRESSES:
        return True
    if word in _WORDS or word[:1] != meant[:1]:
        return False
    slips = slips_between(word, meant)
    if len(meant) <= _SHORT_CHARS:
        return slips == 1 and sorted(word) == sorted(meant)
    return slips <= (2 if len(meant) >= _LONG_CHARS else 1)


def slips_between(a: str, b: str) -> int:
    """Return how many letters were added, lost, changed or swapped with a neighbour (optimal string alignment)."""
    before: list[int] = []
    last = list(range(len(b) + 1))
    for i, letter in enumerate(a, 1):
        row = [i]
        for j, other in enumerate(b, 1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == b[j - 2] and a[i - 2] == other:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before, last = last, row
    return last[-1]


def _wanted(column: Column) -> str:
    if pt.is_map(column.type):
        return "a map or struct of numbers"
    if pt.is_list(column.type):
        return f"{column.type} or {column.type.value_type}" if _texts(column.type.value_type) else str(column.type)
    return str(column.type)


def _fits(type_: pa.DataType, column: Column) -> bool:
    """Whether values of `type_` can be cast to the column, row by row where a value may still be wrong."""
    type_ = type_.value_type if pt.is_dictionary(type_) else type_
    wanted = column.type
    if pt.is_null(type_) or _texts(type_):
        return True  # text is cast cell by cell, as from CSV
    if pt.is_map(wanted):
        return bool(pt.is_map(type_) or pt.is_struct(type_))
    if pt.is_list(wanted):
        if _listed(type_):
            inner = type_.value_type
            return pt.is_null(inner) or (_texts(inner) if _texts(wanted.value_type) else _numbers(inner))
        return False
    if _texts(wanted):
        return False
    if pt.is_boolean(wanted):
        return bool(pt.is_boolean(type_))
    return _numbers(type_)


def _texts(type_: pa.DataType) -> bool:
    return bool(pt.is_string(type_) or pt.is_large_string(type_) or pt.is_string_view(type_))


def _numbers(type_: pa.DataType) -> bool:
    return bool(pt.is_integer(type_) or pt.is_floating(type_) or pt.is_decimal(type_))


def _listed(type_: pa.DataType) -> bool:
    return bool(pt.is_list(type_) or pt.is_large_list(type_) or pt.is_fixed_size_list(type_))
