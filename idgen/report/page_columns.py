"""The columns of results.parquet as the page's script reads them, and how they are packed."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from urllib.parse import quote

import pyarrow as pa

from idgen.checks.table import FINDING_COLUMNS
from idgen.columns import LABELS
from idgen.outputs.thumbnail import thumbnail_path
from idgen.report.inputs import ground_of, inputs_of
from idgen.report.rows import COLUMNS
from idgen.report.thumbnails import photo_name
from idgen.values import Cell

Thumbnails = set[str]
"""Paths of the thumbnails that exist, as thumbnails.make_thumbnails returns them."""

RANKED = "face_similarity"
"""The check whose column every page holds: pictures are ordered by it, and sets judged."""
MEASURES = tuple(column.name for column in FINDING_COLUMNS if not pa.types.is_string(column.type))
"""Checks that pictures can be ordered by."""

INDEX = (
    *("row_id", "key", "recipe", "status", "ledger_status", "code", "verdict", "decision", "decision_reason"),
    *("image_path", "image_index", "thumb", "warned", "changed", *LABELS, RANKED),
)
"""What a page of any size holds of every row: enough for cards without words, filters and the usual orders."""
WHOLE = (
    *("prompt", "output_name", "detail", "seed", "seconds", "finished_at"),
    *(name for name in MEASURES if name != RANKED),
)
"""Columns that a search or an order needs of all rows: each has a file of its own."""

_POINT_NUMBERS = 10


def page_columns(table: pa.Table, thumbnails: Thumbnails, names: Iterable[str]) -> dict[str, list[Cell]]:
    """Return the columns of these names: links made, non-finite numbers as null."""
    return {name: _values(name, table, thumbnails) for name in names}


def packed(values: list[Cell]) -> list[Cell] | Mapping[str, object]:
    """Return the column as it is; when values repeat, its distinct values and where each stands; or its one value."""
    marks = [value if isinstance(value, Hashable) else repr(value) for value in values]
    places: dict[Hashable, int] = {}
    at = [places.setdefault(mark, len(places)) for mark in marks]
    if len(places) == 1:
        return {"all": values[0]}
    if 2 * len(places) > len(values):
        return values
    distinct = dict(zip(reversed(at), reversed(values), strict=True))
    return {"values": [distinct[place] for place in range(len(places))], "at": at}


def empty_of(name: str) -> Cell:
    """Return what the script takes where a column is not there."""
    return "" if COLUMNS.get(name) == pa.string() and name != "seed" else None


def is_empty(values: list[Cell]) -> bool:
    """Return whether a column says nothing, so that it need not be written."""
    return all(value is None or value == "" or value == [] for value in values)


def _values(name: str, table: pa.Table, thumbnails: Thumbnails) -> list[Cell]:
    if name in _MADE:
        return list(_MADE[name](table, thumbnails))
    values: list[Cell] = table.column(name).to_pylist()
    if pa.types.is_floating(COLUMNS[name]):
        return [round(value, 3) if _finite(value) else None for value in values]
    return values


def _image_path(table: pa.Table, _: Thumbnails) -> Iterator[Cell]:
    """Of a picture in its usual place, images/<ab>/<key>.<ending>, only the ending; else the path, quoted."""
    for key, path in zip(_list(table, "key"), _list(table, "image_path"), strict=True):
        usual, _dot, ending = path.rpartition(".")
        yield ending if key and usual == f"images/{key[:2]}/{key}" and ending.isalnum() else quote(path)


def _inputs(table: pa.Table, thumbnails: Thumbnails) -> Iterator[Cell]:
    """[column, thumbnail or ""] of each further picture that the row was made of; its address stands in `settings`."""
    for settings in _list(table, "settings"):
        names = {column: photo_name(uri, ground_of(column)) for column, uri in inputs_of(settings).items()}
        yield [[column, name if name in thumbnails else ""] for column, name in names.items()]


def _reference_thumbs(table: pa.Table, thumbnails: Thumbnails) -> Iterator[Cell]:
    for uris in _list(table, "reference_uris"):
        yield [name if (name := photo_name(uri)) in thumbnails else "" for uri in uris or ()]


def _points(table: pa.Table, _: Thumbnails) -> Iterator[Cell]:
    """x and y of the face's five points in tenths of a pixel; None unless all are there."""
    for numbers in _list(table, "target_keypoints"):
        found = [round(number, 1) for number in numbers or () if number is not None and _finite(number)]
        yield found if len(found) == _POINT_NUMBERS else None


def _seed(table: pa.Table, _: Thumbnails) -> Iterator[Cell]:
    """As text: a script counts exactly only to 2**53."""
    return (None if value is None else str(value) for value in _list(table, "seed"))


def _thumb(table: pa.Table, thumbnails: Thumbnails) -> Iterator[Cell]:
    return (thumbnail_path(key) in thumbnails and thumbnail_path(key) != "" for key in _list(table, "key"))


def _warned(table: pa.Table, _: Thumbnails) -> Iterator[Cell]:
    return (len(warnings or ()) for warnings in _list(table, "warnings"))


def _changed(table: pa.Table, _: Thumbnails) -> Iterator[Cell]:
    """Whether this run made it where another picture stood before."""
    both = zip(_list(table, "status"), _list(table, "previous_key"), strict=True)
    return (status == "ok" and key != "" for status, key in both)


_MADE: Mapping[str, Callable[[pa.Table, Thumbnails], Iterable[Cell]]] = {
    "image_path": _image_path,
    "previous_image_path": lambda table, _: map(quote, _list(table, "previous_image_path")),
    "inputs": _inputs,
    "reference_thumbs": _reference_thumbs,
    "target_keypoints": _points,
    "seed": _seed,
    "thumb": _thumb,
    "warned": _warned,
    "changed": _changed,
}
"""Columns that are made of others, or not shown as they are stored."""

ALL = tuple(dict.fromkeys((*COLUMNS, *_MADE)))


def _list(table: pa.Table, name: str) -> list[Cell]:
    values: list[Cell] = table.column(name).to_pylist()
    return values


def _finite(value: float | None) -> bool:
    return value is not None and value - value == 0
