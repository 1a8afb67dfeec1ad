"""Between manifest cells and PICTURES: cells as Python values, and pictures as tuples that become one Arrow batch."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.types as pt

from idgen.columns import BY_NAME, LABELS
from idgen.schemas import PICTURES
from idgen.values import Cell

PictureTuple = tuple[object, ...]
"""One picture's own fields, in the order of ROW_FIELDS and then of the manifest's image columns."""

ROW_FIELDS = (
    "key", "position", "image_index", "load_group", "bucket", "recipe", "recipe_hash", "carried", "status", "code",
    "detail", "stage", "row_id", "reference_uris", "reference_sha256", "prompt", "negative_prompt", "num_images",
    "seed", "output_name", "replaces", *LABELS,
)  # fmt: skip
_SHARED_FIELDS = [field for field in PICTURES if field.name in BY_NAME and field.name not in ROW_FIELDS]
_SHARED_NAMES = [field.name for field in _SHARED_FIELDS]
_WIDE = pa.schema(_SHARED_FIELDS)
_EMPTY_IS_TEXT = frozenset({"prompt", "negative_prompt"})


def cells(column: pa.Array, name: str) -> list[Cell]:
    """Return a column as Python values that can be dictionary keys; empty text is null, except in prompts."""
    if pt.is_string(column.type) or pt.is_large_string(column.type):
        found = column.to_numpy(zero_copy_only=False).tolist()
        return found if name in _EMPTY_IS_TEXT else [cell or None for cell in found]
    if pt.is_nested(column.type):
        return [_frozen(cell) for cell in column.to_pylist()]
    listed: list[Cell] = column.to_pylist()
    return listed


def _frozen(cell: Cell) -> Cell:
    """Return a nested cell as tuples, at every depth; empty ones are null."""
    if isinstance(cell, dict):
        return tuple((name, _frozen(part)) for name, part in sorted(cell.items()) if part is not None) or None
    return tuple(_frozen(part) for part in cell) or None if isinstance(cell, list | tuple) else cell


def assemble(
    fields: Sequence[str], rows: list[PictureTuple], wide: list[dict[str, object]], places: list[int]
) -> pa.RecordBatch:
    """Join the per-row fields with the shared ones, which are built once and repeated by `take`."""
    by_name = dict(zip(fields, zip(*rows, strict=True) if rows else [()] * len(fields), strict=True))
    records = [{name: row.get(name) for name in _SHARED_NAMES} for row in wide]
    shared = pa.RecordBatch.from_pylist(records, schema=_WIDE).take(pa.array(places, pa.int32()))
    arrays = []
    for field in PICTURES:
        if field.name in by_name:
            arrays.append(pa.array(by_name[field.name], field.type))
        elif field.name in _SHARED_NAMES:
            arrays.append(shared.column(field.name))
        elif field.name == "attempt":
            arrays.append(pa.array([1], pa.int32()).take(pa.array([0] * len(rows), pa.int32())))
        else:
            arrays.append(pa.array([""] * len(rows), field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=PICTURES)
