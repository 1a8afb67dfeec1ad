"""A manifest's Parquet files: parts of a folder may lack columns and differ in ways that lose nothing."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pt

from idgen.columns import BY_NAME
from idgen.errors import Exit, RunError
from idgen.manifest.file_errors import file_errors
from idgen.manifest.files import BATCH_ROWS, ManifestFiles
from idgen.manifest.names import with_names
from idgen.manifest.own_columns import plain_type


def parquet_schema(files: ManifestFiles) -> pa.Schema:
    """Return the columns of all files, each of the widest type its parts have.

    Raises RunError(USAGE) for a column whose types have none in common, with both files. A part without rows has no say
    in a type: what wrote it could only guess.
    """
    types: dict[str, pa.DataType] = {}
    decided_by: dict[str, str] = {}
    for path in files.paths:
        with file_errors(files.name(path)):
            schema, rows = _schema(files, path)
        if len(set(schema.names)) < len(schema.names):
            raise RunError(Exit.USAGE, f"manifest: two columns of {files.name(path)} have the same name")
        for field in schema:
            before = types.get(field.name)
            if before is None or (before != field.type and rows and not decided_by[field.name]):
                types[field.name] = field.type
            elif before != field.type and rows:
                types[field.name] = _common(files, field, before, decided_by[field.name], path)
            if rows or field.name not in decided_by:
                decided_by[field.name] = path if rows else ""
    return pa.schema([pa.field(name, type_) for name, type_ in types.items()])


def _common(files: ManifestFiles, field: pa.Field, before: pa.DataType, first: str, path: str) -> pa.DataType:
    """Return the type that holds the values of both."""
    if pt.is_timestamp(before) and pt.is_timestamp(field.type) and before.tz and field.type.tz:
        units = ("s", "ms", "us", "ns")
        return pa.timestamp(max(before.unit, field.type.unit, key=units.index), "UTC")  # one moment, spelled elsewhere
    try:
        schemas = [pa.schema([pa.field(field.name, type_)]) for type_ in (before, field.type)]
        return pa.unify_schemas(schemas, promote_options="permissive").field(0).type
    except (pa.ArrowTypeError, pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise RunError(
            Exit.USAGE,
            f"manifest: column {field.name} is {before} in {files.name(first)} and {field.type} in "
            f"{files.name(path)}; give it one type in all files",
        ) from None


def _schema(files: ManifestFiles, path: str) -> tuple[pa.Schema, int]:
    """Return a file's columns under their names here, and its number of rows."""
    with files.filesystem.open_input_file(path) as file, pq.ParquetFile(file) as parquet:
        schema = parquet.schema_arrow
        fields = [
            pa.field(name, _type(name, field.type))
            for name, field in zip(with_names(schema.names), schema, strict=True)
        ]
        return pa.schema(fields), parquet.metadata.num_rows


def _type(name: str, type_: pa.DataType) -> pa.DataType:
    """Return a column's type without its way of storing; files may differ only in this way."""
    if name not in BY_NAME:
        return plain_type(type_)
    return type_.value_type if pt.is_dictionary(type_) else type_


def read_parquet(files: ManifestFiles, path: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Yield a file's rows under their names here, of the types that it has itself."""
    with files.filesystem.open_input_file(path) as file, pq.ParquetFile(file) as parquet:
        for batch in parquet.iter_batches(BATCH_ROWS):
            yield batch.rename_columns(with_names(batch.schema.names))
