"""The shop's own columns, of any type and name: carried past the planner's database, which does not know all types."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.types as pt

from idgen.manifest.files import BATCH_ROWS
from idgen.values import Cell

_NO_PYTHON_VALUE = (OverflowError, ValueError, pa.ArrowException)
"""What Arrow raises for a date after the year 9999, among others."""


def plain_type(type_: pa.DataType) -> pa.DataType:
    """Return the type that holds the same values without another way of storing them: no views, no dictionaries.

    Extensions stay, but for those of text, which may hold signatures, and for parts of others: Arrow makes no empty
    table of those (DuckDB writes UUID[] so).
    """
    if pt.is_dictionary(type_) or pt.is_run_end_encoded(type_):
        return plain_type(type_.value_type)
    if isinstance(type_, pa.BaseExtensionType):
        stored = plain_type(type_.storage_type)
        return stored if _holds_text(stored) else type_
    if pt.is_string_view(type_):
        return pa.string()
    if pt.is_binary_view(type_):
        return pa.binary()
    if pt.is_struct(type_):
        return pa.struct([field.with_type(plain_part(field.type)) for field in type_])
    if pt.is_map(type_):
        return pa.map_(plain_part(type_.key_type), plain_part(type_.item_type))
    if _is_listed(type_):
        return pa.list_(plain_part(type_.value_type))
    return type_


def plain_part(type_: pa.DataType) -> pa.DataType:
    """Return the plain type of a part of another type: extensions are what they are made of."""
    plain = plain_type(type_)
    return plain_type(plain.storage_type) if isinstance(plain, pa.BaseExtensionType) else plain


def _is_listed(type_: pa.DataType) -> bool:
    return bool(pt.is_list(type_) or pt.is_large_list(type_) or pt.is_fixed_size_list(type_)) or _is_view(type_)


def cast_column(column: pa.Array, type_: pa.DataType) -> pa.Array:
    """Return the column as another type, checked to the last byte. Raises pa.ArrowException for values that do not fit.

    Parquet files may hold text that is no UTF-8. Arrow 26 casts list views to arrays whose end is missing.
    """
    if column.type != type_:
        column = _without_view(column, type_) if pt.is_list(type_) and _is_view(column.type) else column.cast(type_)
    column.validate(full=True)
    return column


def _is_view(type_: pa.DataType) -> bool:
    return bool(pt.is_list_view(type_) or pt.is_large_list_view(type_))


def _without_view(column: pa.Array, type_: pa.ListType) -> pa.Array:
    ends = pc.cumulative_sum(pc.fill_null(pc.list_value_length(column), 0)).cast(pa.int32())
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), ends])
    return pa.ListArray.from_arrays(offsets, column.flatten().cast(type_.value_type), type=type_, mask=column.is_null())


def plain_cells(column: pa.Array) -> list[Cell]:
    """Return a column as Python values; what Python has no value for as Arrow's text of it."""
    try:
        cells: list[Cell] = column.to_pylist()
        return cells
    except _NO_PYTHON_VALUE:
        if pt.is_struct(column.type):
            parts = [plain_cells(part) for part in column.flatten()]
            names = [field.name for field in column.type]
            found = [dict(zip(names, row, strict=True)) for row in zip(*parts, strict=True)]
            return [cell if valid else None for cell, valid in zip(found, column.is_valid().to_pylist(), strict=True)]
        if pt.is_nested(column.type):
            return [plain_cells(cell.values) if cell.is_valid else None for cell in column]
        texts: list[Cell] = column.cast(pa.string()).to_pylist()
        return texts


def change_texts(column: pa.Array, change: Callable[[Cell], Cell]) -> pa.Array:
    """Return a column of a plain type with `change` done to every text in it, at any depth."""
    type_ = column.type
    if not _holds_text(type_):
        return column
    if pt.is_struct(type_):
        parts = [change_texts(part, change) for part in column.flatten()]
        return pa.StructArray.from_arrays(parts, fields=list(type_), mask=column.is_null())
    if pt.is_nested(type_):
        whole = column.take(pa.array(range(len(column)), pa.int64()))  # offsets from 0
        if pt.is_map(type_):
            parts = [change_texts(part, change) for part in (whole.keys, whole.items)]
            return pa.MapArray.from_arrays(whole.offsets, *parts, type=type_, mask=whole.is_null())
        return pa.ListArray.from_arrays(
            whole.offsets, change_texts(whole.values, change), type=type_, mask=whole.is_null()
        )
    return pa.array([None if cell is None else change(cell) for cell in column.to_pylist()], type_)


def _holds_text(type_: pa.DataType) -> bool:
    if pt.is_map(type_):
        return _holds_text(type_.key_type) or _holds_text(type_.item_type)
    if pt.is_list(type_):
        return _holds_text(type_.value_type)
    if pt.is_struct(type_):
        return any(_holds_text(field.type) for field in type_)
    return bool(pt.is_string(type_) or pt.is_large_string(type_))


class RowReader:
    """Reads rows of the staged manifest by their number, forward only, as Arrow has them."""

    def __init__(self, path: Path, names: Sequence[str], position: str) -> None:
        """`position` is the column of the rows' numbers, which rise."""
        self._file = pq.ParquetFile(path)
        self._position = position
        self._batches: Iterator[pa.RecordBatch] = self._file.iter_batches(BATCH_ROWS, columns=[*names, position])
        self.schema = pa.schema([self._file.schema_arrow.field(name) for name in names])
        self._held = self._file.schema_arrow.empty_table().select([*names, position])

    def take(self, positions: pa.Array) -> list[pa.Array]:
        """Return the columns at these row numbers, which never fall; each of them must be there."""
        if not len(positions):
            return [pa.array([], field.type) for field in self.schema]
        first, last = positions[0].as_py(), positions[-1].as_py()
        while not self._held.num_rows or self._held[self._position][-1].as_py() < last:
            self._held = pa.concat_tables([self._held, pa.Table.from_batches([next(self._batches)])])
        self._held = self._held.filter(pc.greater_equal(self._held[self._position], first))
        places = pc.index_in(positions, self._held[self._position].combine_chunks())
        taken = self._held.take(places)
        return [_one_chunk(taken.column(name), self.schema.field(name).type) for name in self.schema.names]

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _one_chunk(column: pa.ChunkedArray, type_: pa.DataType) -> pa.Array:
    return column.combine_chunks() if column.num_chunks else pa.array([], type_)
