"""Reading a manifest: Parquet, CSV or JSON lines, a file or a folder of them, from a local path or s3://.

The manifest is read once, in batches, into one Parquet file of the run's scratch folder; everything after that reads
the copy, so a file that changes during a run changes nothing. CSV and JSON lines are read as text and cast later, cell
by cell: SKU 0123 stays 0123. In CSV an empty cell is null and "" is empty text. Lists in CSV and JSON lines are JSON
arrays, or parts separated by |.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pt

from idgen.errors import Exit, RunError
from idgen.manifest.files import BATCH_ROWS, Files, find_files
from idgen.manifest.names import OWN_PREFIX, check_header
from idgen.manifest.text_files import csv_schema, jsonl_schema, read_csv, read_jsonl

POSITION = "idgen_position"
"""Row number in the manifest, from 0; names that begin so are idgen's own."""

_RAGGED = re.compile(r"Expected \d+ columns, got \d+")


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
    rows = 0
    try:
        schema = _SCHEMAS[files.kind](files)
        check_header(schema)
        schema = pa.schema([field for field in schema if not field.name.startswith(OWN_PREFIX)])
        staged = StagedManifest(path, schema, files.folder, files.kind != "parquet")
        full = staged.full_schema()
        with pq.ParquetWriter(path, full, compression="zstd", compression_level=1) as writer:
            for batch in _batches(files, schema):
                position = pa.array(range(rows, rows + batch.num_rows), pa.int64())
                writer.write_batch(pa.RecordBatch.from_arrays([*batch.columns, position], schema=full))
                rows += batch.num_rows
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, UnicodeDecodeError) as error:
        raise RunError(Exit.USAGE, f"manifest: {_reason(error)}") from None
    except OSError as error:
        raise RunError(Exit.UNAVAILABLE, f"manifest: cannot be read ({type(error).__name__})") from error
    return staged


def read_staged(scratch: Path) -> StagedManifest:
    """Return what `stage` left in `scratch`."""
    path = scratch / "manifest.parquet"
    schema = pq.read_schema(path)
    facts = schema.metadata
    names = schema.remove(schema.get_field_index(POSITION)).remove_metadata()
    return StagedManifest(path, names, facts[b"idgen.folder"].decode(), facts[b"idgen.is_text"] == b"1")


def _batches(files: Files, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Yield the files' rows with exactly the columns of `schema`; what a file lacks is null."""
    for path in files.paths:
        for batch in _READERS[files.kind](files, path, schema):
            columns = [
                batch.column(field.name).cast(field.type)
                if field.name in batch.schema.names
                else pa.nulls(batch.num_rows, field.type)
                for field in schema
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _parquet_schema(files: Files) -> pa.Schema:
    schemas = []
    for path in files.paths:
        with files.filesystem.open_input_file(path) as file:
            schemas.append(pq.read_schema(file).remove_metadata())
    unified = pa.unify_schemas(schemas, promote_options="permissive")
    # a dictionary is a way of storing, not a type
    return pa.schema([f.with_type(f.type.value_type) if pt.is_dictionary(f.type) else f for f in unified])


def _read_parquet(files: Files, path: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    with files.filesystem.open_input_file(path) as file, pq.ParquetFile(file) as parquet:
        yield from parquet.iter_batches(BATCH_ROWS)


def _reason(error: Exception) -> str:
    """Say what is wrong without the row's text, which Arrow likes to quote."""
    ragged = _RAGGED.search(str(error))
    if ragged:
        return f"a row of the CSV has too many or too few cells ({ragged[0].lower()})"
    if "utf" in str(error).lower():
        return "the text is not UTF-8; save it as UTF-8"
    return f"cannot be read as what its ending says ({type(error).__name__})"


_SCHEMAS: dict[str, Callable[[Files], pa.Schema]] = {
    "parquet": _parquet_schema,
    "csv": csv_schema,
    "jsonl": jsonl_schema,
}
_READERS: dict[str, Callable[[Files, str, pa.Schema], Iterator[pa.RecordBatch]]] = {
    "parquet": _read_parquet,
    "csv": read_csv,
    "jsonl": read_jsonl,
}
