"""Checks the manifest's header: names that look like typing errors, and columns of a type that cannot be used."""

from collections.abc import Collection, Sequence

import pyarrow as pa
import pyarrow.types as pt

from idgen.column import Column
from idgen.columns import BY_NAME, COLUMNS
from idgen.errors import Exit, RunError

OWN_PREFIX = "idgen_"
"""Columns that idgen itself adds to failed.parquet; a manifest may bring them along, they are not read."""

_WORDS = frozenset({"model", "persona", "personas", "schedule", "scheduled", "schedules", "shots"})
"""Words of shops that happen to look like a word of ours."""
_OWN = frozenset({"reference", "guidance"})
"""Names that shops have for other things: an article's number, a size guide."""
_ADDRESSES = frozenset({"uri", "uris", "url", "urls"})
_SHORTHAND = {
    "bbox": "box",
    "bboxes": "box",
    "neg": "negative",
    "point": "keypoints",
    "points": "keypoints",
    "ref": "reference",
}
"""Words that people write for a word of ours."""
_ENDINGS = ("_image_uri", "_uri", "_scale", "_scales", "_deg")
"""What people leave out at the end of a name."""
_SHORT_CHARS, _LONG_CHARS = 4, 8


def check_header(schema: pa.Schema) -> None:
    """Raise RunError(USAGE) for a wrong header: the same name twice, a near miss, a wrong type."""
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
    """Raise RunError(USAGE) when two names differ in nothing but case, or some are nearly known ones: all of those."""
    if any("\0" in name for name in names):
        raise RunError(
            Exit.USAGE, "manifest: a column's name holds a NUL; save the file as UTF-8, or give it another name"
        )
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.casefold(), name)
        if other is not name or list(names).count(name) > 1:
            raise RunError(Exit.USAGE, f"manifest: columns {other!r} and {name!r} are hard to tell apart")
    slips = [(name, meant) for name in names if (meant := near_miss(name, names))]
    if slips:
        what = "; ".join(f"column {name!r} is unknown; did you mean {meant}?" for name, meant in slips)
        raise RunError(Exit.USAGE, f"manifest: {what} (your own columns need other names)")


def with_names(names: Sequence[str]) -> list[str]:
    """Return the names with unnamed_N, N the column's place from 1, for each that is blank (pandas' index)."""
    taken = set(names)
    named = []
    for place, name in enumerate(names, 1):
        made = f"unnamed_{place}"
        while not name.strip() and made in taken:
            made += "_"
        named.append(name if name.strip() else made)
    return named


def carried_columns(names: Sequence[str]) -> list[str]:
    """Return the shop's own columns, in the manifest's order."""
    return [name for name in names if name not in BY_NAME and not name.startswith(OWN_PREFIX)]


def near_miss(name: str, header: Collection[str] = ()) -> str | None:
    """Return the known column that `name`, one of `header`, is probably meant to be, or None.

    Case, spaces, dashes and lost underscores are always slips. Else it must have as many words as the known name, and
    each must be the same but for a slip of the pen (`_is_slip`); or it lacks the known name's ending, and no column of
    that name is there. One word of up to four letters says too little: `size` is not `seed`.
    """
    if name in BY_NAME or name.startswith(OWN_PREFIX):
        return None
    plain = name.strip().casefold().replace("-", "_").replace(" ", "_")
    for known in BY_NAME:
        if plain.replace("_", "") == known.replace("_", ""):
            return known
    if len(plain) <= _SHORT_CHARS or plain in _OWN:
        return None
    words = plain.split("_")
    near = [column.name for column in COLUMNS if _is_near(words, column.name.split("_"))]
    if near:
        return min(near, key=lambda known: slips_between(plain, known))
    meant = next((column.name for column in COLUMNS if _is_short(words, column.name)), "")
    return meant if meant and not {meant, f"{meant}s"} & set(header) else None


def _is_near(words: list[str], known: list[str]) -> bool:
    return len(words) == len(known) and all(
        _is_same(word, meant) or _is_slip(word, meant, alone=len(words) == 1)
        for word, meant in zip(words, known, strict=True)
    )


def _is_short(words: list[str], name: str) -> bool:
    """Whether `words` are the known name without its ending, or with `image` left out or put in before its `uri`."""
    for ending in _ENDINGS:
        stem = name.removesuffix(ending)
        if stem == name or (len(stem) <= _SHORT_CHARS and len(words) == 1):
            continue
        endings = ("", "_image", "_uri", "_image_uri") if ending.endswith("_uri") else ("",)
        if any(_are_same(words, (stem + other).split("_")) for other in endings):
            return True
    return False


def _are_same(words: list[str], known: list[str]) -> bool:
    return len(words) == len(known) and all(_is_same(word, meant) for word, meant in zip(words, known, strict=True))


def _is_same(word: str, meant: str) -> bool:
    """Whether `word` is `meant`, in the plural or singular, or another word for it. `url` is `uri`."""
    if word == meant or _SHORTHAND.get(word) == meant or {word, meant} <= _ADDRESSES:
        return True
    return word not in _WORDS and (word in (f"{meant}s", f"{meant}es") or meant in (f"{word}s", f"{word}es"))


def _is_slip(word: str, meant: str, *, alone: bool) -> bool:
    """Whether `word` is probably a slip for `meant`: the first letter stays (`weight` is not `height`).

    A letter more, less or other, or two swapped; two of that in words from eight letters; in words of four no other
    letter, and only a swap where that is the whole name.
    """
    if word in _WORDS or word[:1] != meant[:1]:
        return False
    slips = slips_between(word, meant)
    if len(meant) <= _SHORT_CHARS:
        other = len(word) != len(meant) and len(meant) == _SHORT_CHARS and not alone
        return slips == 1 and (other or sorted(word) == sorted(meant))
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
