"""Reading a manifest: Parquet, CSV or JSON lines, a file or a folder of them, from a local path or s3://.

The manifest is read once, in batches, into one Parquet file of the run's scratch folder; everything after that reads
the copy, so a file that changes during a run changes nothing. CSV and JSON lines are read as text and cast later, cell
by cell: SKU 0123 stays 0123. In CSV an empty cell is null and "" is empty text. Lists in CSV and JSON lines are JSON
arrays, or parts separated by |.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.fs as pf
import pyarrow.parquet as pq
import pyarrow.types as pt

from idgen.errors import Exit, RunError
from idgen.manifest.names import OWN_PREFIX, check_header
from idgen.manifest.places import is_uri
from idgen.stores.opening import open_store

BATCH_ROWS = 32_768
POSITION = "idgen_position"
"""Row number in the manifest, from 0; names that begin so are idgen's own."""
ENDINGS = {".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}

_RAGGED = re.compile(r"Expected \d+ columns, got \d+")
_CSV_BLOCK_BYTES = 4 * 2**20


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


@dataclass(frozen=True, slots=True)
class _Files:
    filesystem: pf.FileSystem
    paths: list[str]
    kind: str
    folder: str


def stage(manifest: str, scratch: Path) -> StagedManifest:
    """Copy the manifest into `scratch`/manifest.parquet. Memory: a few batches of BATCH_ROWS rows.

    Raises RunError(USAGE): nothing there, not readable, a column name that is a near miss, a column of a wrong type.
    """
    files = _find(manifest)
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


def _find(manifest: str) -> _Files:
    """Return the manifest's files, sorted by name."""
    if not manifest:
        raise RunError(Exit.USAGE, "manifest: give a Parquet file or folder, a CSV or a JSON lines file")
    filesystem, root = open_store(manifest).filesystem()
    try:
        info = filesystem.get_file_info(root)
        if info.type == pf.FileType.NotFound:
            raise RunError(Exit.USAGE, "manifest: there is nothing at that address")
        if info.type == pf.FileType.File:
            paths = [root]
        else:
            found = filesystem.get_file_info(pf.FileSelector(root, recursive=True))
            paths = sorted(f.path for f in found if f.type == pf.FileType.File and not _hidden(f.path, root))
    except OSError as error:
        raise RunError(Exit.UNAVAILABLE, f"manifest: cannot be read ({type(error).__name__})") from error
    kinds = {_kind(path) for path in paths}
    if len(kinds) != 1 or None in kinds:
        raise RunError(Exit.USAGE, "manifest: give files of one kind, ending in .parquet, .csv or .jsonl")
    folder = root if info.type == pf.FileType.Directory else root.rpartition("/")[0]
    is_s3 = is_uri(manifest) and manifest.lower().startswith("s3:")
    return _Files(filesystem, paths, str(kinds.pop()), f"s3://{folder}" if is_s3 else folder)


def _kind(path: str) -> str | None:
    name = path.rpartition("/")[2].lower().removesuffix(".gz")
    return ENDINGS.get("." + name.rpartition(".")[2])


def _hidden(path: str, root: str) -> bool:
    return any(segment.startswith(("_", ".")) for segment in path.removeprefix(root).split("/"))


def _batches(files: _Files, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
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


def _parquet_schema(files: _Files) -> pa.Schema:
    schemas = []
    for path in files.paths:
        with files.filesystem.open_input_file(path) as file:
            schemas.append(pq.read_schema(file).remove_metadata())
    unified = pa.unify_schemas(schemas, promote_options="permissive")
    # a dictionary is a way of storing, not a type
    return pa.schema([f.with_type(f.type.value_type) if pt.is_dictionary(f.type) else f for f in unified])


def _read_parquet(files: _Files, path: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    with files.filesystem.open_input_file(path) as file, pq.ParquetFile(file) as parquet:
        yield from parquet.iter_batches(BATCH_ROWS)


def _text_schema(names: Iterator[str]) -> pa.Schema:
    return pa.schema([pa.field(name, pa.string()) for name in names])


def _csv_schema(files: _Files) -> pa.Schema:
    names: dict[str, None] = {}
    for path in files.paths:
        header = _open_csv(files, path, None).schema.names
        if len(set(header)) < len(header):
            raise RunError(Exit.USAGE, "manifest: two columns have the same name")
        names.update(dict.fromkeys(header))
    return _text_schema(iter(names))


def _open_csv(files: _Files, path: str, schema: pa.Schema | None) -> pc.CSVStreamingReader:
    return pc.open_csv(
        files.filesystem.open_input_stream(path),
        read_options=pc.ReadOptions(block_size=_CSV_BLOCK_BYTES),
        parse_options=pc.ParseOptions(newlines_in_values=True),
        convert_options=pc.ConvertOptions(
            column_types=schema,
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            null_values=[""],
        ),
    )


def _read_csv(files: _Files, path: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    with _open_csv(files, path, schema) as reader:
        yield from reader


def _jsonl_schema(files: _Files) -> pa.Schema:
    names: dict[str, None] = {}
    for path in files.paths:
        for row in _json_rows(files, path):
            names.update(dict.fromkeys(row))
    return _text_schema(iter(names))


def _json_rows(files: _Files, path: str) -> Iterator[dict[str, str | None]]:
    """Yield every line's object with its values as text; numbers keep the spelling of the file."""
    keep = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)
    with files.filesystem.open_input_stream(path) as stream, pa.BufferedInputStream(stream, 2**20) as buffered:
        for number, line in enumerate(_lines(buffered), 1):
            if not line.strip():
                continue
            try:
                row = keep.decode(line)
                if not isinstance(row, dict):
                    raise ValueError("no object")
            except ValueError:
                name = path.rpartition("/")[2]
                raise RunError(Exit.USAGE, f"manifest: line {number} of {name} is no JSON object") from None
            nested = json.loads(line) if any(isinstance(cell, dict | list) for cell in row.values()) else row
            yield {name: _as_text(cell, nested[name]) for name, cell in row.items()}


def _as_text(cell: object, exact: object) -> str | None:
    if cell is None or isinstance(cell, str):
        return cell
    return json.dumps(exact, ensure_ascii=False)


def _lines(stream: pa.NativeFile) -> Iterator[str]:
    """Yield decoded lines; only \\n ends one, since prompts may hold other separators."""
    rest = b""
    first = True
    while chunk := stream.read(2**20):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.decode("utf-8-sig" if first else "utf-8")
            first = False
    if rest:
        yield rest.decode("utf-8-sig" if first else "utf-8")


def _read_jsonl(files: _Files, path: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    rows: list[dict[str, str | None]] = []
    for row in _json_rows(files, path):
        rows.append(row)
        if len(rows) == BATCH_ROWS:
            yield pa.RecordBatch.from_pylist(rows, schema=schema)
            rows = []
    if rows:
        yield pa.RecordBatch.from_pylist(rows, schema=schema)


def _reason(error: Exception) -> str:
    """Say what is wrong without the row's text, which Arrow likes to quote."""
    ragged = _RAGGED.search(str(error))
    if ragged:
        return f"a row of the CSV has too many or too few cells ({ragged[0].lower()})"
    if "utf" in str(error).lower():
        return "the text is not UTF-8; save it as UTF-8"
    return f"cannot be read as what its ending says ({type(error).__name__})"


_SCHEMAS: dict[str, Callable[[_Files], pa.Schema]] = {
    "parquet": _parquet_schema,
    "csv": _csv_schema,
    "jsonl": _jsonl_schema,
}
_READERS: dict[str, Callable[[_Files, str, pa.Schema], Iterator[pa.RecordBatch]]] = {
    "parquet": _read_parquet,
    "csv": _read_csv,
    "jsonl": _read_jsonl,
}
