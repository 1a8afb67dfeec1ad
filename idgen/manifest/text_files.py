"""CSV and JSON lines as text: every cell is a string or null, and is cast later by the column it belongs to."""

import json
from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.csv as pc

from idgen.errors import Exit, RunError
from idgen.manifest.files import BATCH_ROWS, Files

_CSV_BLOCK_BYTES = 4 * 2**20
_CHUNK_BYTES = 2**20


def _text_schema(names: Iterable[str]) -> pa.Schema:
    return pa.schema([pa.field(name, pa.string()) for name in names])


def csv_schema(files: Files) -> pa.Schema:
    """Return the columns of all files, as text. Raises RunError(USAGE) for a name that stands twice in a header."""
    names: dict[str, None] = {}
    for path in files.paths:
        header = _open_csv(files, path, None).schema.names
        if len(set(header)) < len(header):
            raise RunError(Exit.USAGE, "manifest: two columns have the same name")
        names.update(dict.fromkeys(header))
    return _text_schema(names)


def _open_csv(files: Files, path: str, schema: pa.Schema | None) -> pc.CSVStreamingReader:
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


def read_csv(files: Files, path: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Yield a file's rows; an empty cell is null, "" is empty text."""
    with _open_csv(files, path, schema) as reader:
        yield from reader


def jsonl_schema(files: Files) -> pa.Schema:
    """Return every name that any line uses, as text. Raises RunError(USAGE) for a line that is no JSON object."""
    names: dict[str, None] = {}
    for path in files.paths:
        for row in _json_rows(files, path):
            names.update(dict.fromkeys(row))
    return _text_schema(names)


def _json_rows(files: Files, path: str) -> Iterator[dict[str, str | None]]:
    """Yield every line's object with its values as text; numbers keep the spelling of the file."""
    keep = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)
    with files.filesystem.open_input_stream(path) as stream, pa.BufferedInputStream(stream, _CHUNK_BYTES) as buffered:
        for number, line in enumerate(_lines(buffered), 1):
            if not line.strip():
                continue
            try:
                row = keep.decode(line)
                if not isinstance(row, dict):
                    raise ValueError("no object")
            except (ValueError, RecursionError):
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
    while chunk := stream.read(_CHUNK_BYTES):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.decode("utf-8-sig" if first else "utf-8")
            first = False
    if rest:
        yield rest.decode("utf-8-sig" if first else "utf-8")


def read_jsonl(files: Files, path: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Yield a file's rows; numbers keep their spelling, lists and objects become JSON text."""
    rows: list[dict[str, str | None]] = []
    for row in _json_rows(files, path):
        rows.append(row)
        if len(rows) == BATCH_ROWS:
            yield pa.RecordBatch.from_pylist(rows, schema=schema)
            rows = []
    if rows:
        yield pa.RecordBatch.from_pylist(rows, schema=schema)
