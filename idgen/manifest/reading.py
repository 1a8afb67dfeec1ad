"""Reading a manifest: Parquet, CSV or JSON lines, a file or a folder of them, from a local path or s3://.

The manifest is read once, in batches, into one Parquet file of the run's scratch folder; everything after that reads
the copy, so a file that changes during a run changes nothing. CSV and JSON lines are read as text and cast later, cell
by cell: SKU 0123 stays 0123. In CSV an empty cell is null and "" is empty text. Lists in CSV and JSON lines are JSON
arrays, or parts separated by |. Folders named column=value give that column to all rows below them. Rows without any
value are left out; they keep their number.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from idgen.columns import BY_NAME
from idgen.errors import Exit, RunError
from idgen.manifest.file_errors import file_errors
from idgen.manifest.files import ManifestFiles, find_files
from idgen.manifest.names import OWN_PREFIX, check_header
from idgen.manifest.own_columns import cast_column
from idgen.manifest.parquet_files import parquet_schema, read_parquet
from idgen.manifest.text_files import csv_schema, jsonl_schema, read_csv, read_jsonl

POSITION = "idgen_position"
"""Row number in the manifest, from 0; names that begin so are idgen's own."""


@dataclass(frozen=True, slots=True)
class StagedManifest:
    """The manifest's copy: the columns as they were, and POSITION (row number from 0)."""

    path: Path
    schema: pa.Schema
    """Without POSITION."""
    folder: str
    """Where relative addresses start."""
    is_text: bool
    """Read from CSV or JSON lines: every column is text."""
    blank_rows: int = 0
    """Rows of the files that hold no value, and are not in the copy."""
    unused_folders: tuple[str, ...] = ()
    """Folders such as recipe=x that would have given a known column, had the one above been given."""

    def full_schema(self) -> pa.Schema:
        """Return the schema of the file itself."""
        facts = {"idgen.folder": self.folder, "idgen.is_text": "1" if self.is_text else "0"}
        return self.schema.append(pa.field(POSITION, pa.int64(), nullable=False)).with_metadata(facts)


def stage(manifest: str, scratch: Path) -> StagedManifest:
    """Copy the manifest into `scratch`/manifest.parquet. Memory: a few batches of BATCH_ROWS rows.

    Raises RunError(USAGE): nothing there, not readable, a column name that is a near miss, a column of a wrong type.
    """
    files = find_files(manifest)
    path = scratch / "manifest.parquet"
    rows = blank = 0
    schema = _with_partitions(files, _SCHEMAS[files.kind](files))
    check_header(schema)
    schema = pa.schema([field for field in schema if not field.name.startswith(OWN_PREFIX)])
    staged = StagedManifest(path, schema, files.folder, files.kind != "parquet")
    full = staged.full_schema()
    with pq.ParquetWriter(path, full, compression="zstd", compression_level=1) as writer:
        for batch in _batches(files, schema):
            position = pa.array(range(rows, rows + batch.num_rows), pa.int64())
            numbered = pa.RecordBatch.from_arrays([*batch.columns, position], schema=full)
            filled = numbered.filter(_filled(batch))
            writer.write_batch(filled)
            rows += batch.num_rows
            blank += batch.num_rows - filled.num_rows
    above = files.folders_above().items()
    unused = tuple(folder for name, folder in above if name in BY_NAME and name not in schema.names)
    return replace(staged, blank_rows=blank, unused_folders=unused)


def _filled(batch: pa.RecordBatch) -> pa.Array:
    """Return which rows hold any value: Excel and heal tools leave rows of nothing but separators."""
    filled = pa.array([False] * batch.num_rows, pa.bool_())
    for column in batch.columns:
        filled = pc.or_(filled, column.is_valid())
    return filled


def read_staged(scratch: Path) -> StagedManifest:
    """Return what `stage` left in `scratch`."""
    path = scratch / "manifest.parquet"
    schema = pq.read_schema(path)
    facts = schema.metadata
    names = schema.remove(schema.get_field_index(POSITION)).remove_metadata()
    return StagedManifest(path, names, facts[b"idgen.folder"].decode(), facts[b"idgen.is_text"] == b"1")


def _with_partitions(files: ManifestFiles, schema: pa.Schema) -> pa.Schema:
    """Return the schema with the columns that only folders name; they are text."""
    for path in files.paths:
        for name in files.partition(path):
            if name not in schema.names:
                schema = schema.append(pa.field(name, pa.string()))
    return schema


def _batches(files: ManifestFiles, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Yield the files' rows with exactly the columns of `schema`; what a file lacks is its folder's or null."""
    for path in files.paths:
        partition = files.partition(path)
        with file_errors(files.name(path)):
            for batch in _READERS[files.kind](files, path, schema):
                columns = [_column(batch, field, partition, files.name(path)) for field in schema]
                yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _column(batch: pa.RecordBatch, field: pa.Field, partition: Mapping[str, str | None], file: str) -> pa.Array:
    """Return a file's column; where it has no value, the folder's.

    Raises RunError(USAGE) where the two differ, and for values that do not fit the column's type.
    """
    name = field.name
    own = batch.column(name) if name in batch.schema.names else pa.nulls(batch.num_rows, field.type)
    if name in partition:
        value = partition[name]
        differs = own.is_valid() if value is None else pc.not_equal(own.cast(pa.string()), value)
        if pc.any(differs).as_py():
            raise RunError(
                Exit.USAGE, f"manifest: {file} lies in a folder {name}=…, but its own column {name} has another value"
            )
        if value is not None:
            own = pa.repeat(pa.scalar(value, pa.string()), batch.num_rows)
    try:
        return cast_column(own, field.type)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        text = "utf" in str(error).lower()
        what = (
            "text that is not UTF-8" if text else f"values that do not fit {field.type}, its type in all files together"
        )
        raise RunError(Exit.USAGE, f"manifest: {file}: column {name} has {what}") from None


_SCHEMAS: dict[str, Callable[[ManifestFiles], pa.Schema]] = {
    "parquet": parquet_schema,
    "csv": csv_schema,
    "jsonl": jsonl_schema,
}
_READERS: dict[str, Callable[[ManifestFiles, str, pa.Schema], Iterator[pa.RecordBatch]]] = {
    "parquet": read_parquet,
    "csv": read_csv,
    "jsonl": read_jsonl,
}
