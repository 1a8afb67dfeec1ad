"""CSV and JSON lines as text: every cell is a string or null, and is cast later by the column it belongs to."""

import io
import json
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager

import pyarrow as pa

from idgen.errors import Exit, RunError
from idgen.manifest.csv_rows import Row, check_row, csv_rows, separator_of
from idgen.manifest.file_errors import file_errors
from idgen.manifest.files import BATCH_ROWS, ManifestFiles
from idgen.manifest.names import with_names
from idgen.manifest.option_files import UTF16

_CHUNK_BYTES = 2**20


def _text_schema(names: Iterable[str]) -> pa.Schema:
    return pa.schema([pa.field(name, pa.string()) for name in names])


@contextmanager
def _opened(files: ManifestFiles, path: str, newline: str) -> Generator[io.TextIOWrapper, None, None]:
    """Open a file as text: UTF-8, or UTF-16 where it begins with that mark, as Excel's "Unicode text" does."""
    with files.filesystem.open_input_stream(path) as stream, io.BufferedReader(stream, _CHUNK_BYTES) as buffered:
        encoding = "utf-16" if buffered.peek(2)[:2] in UTF16 else "utf-8-sig"
        with io.TextIOWrapper(buffered, encoding, newline=newline) as text:
            yield text


def csv_schema(files: ManifestFiles) -> pa.Schema:
    """Return the columns of all files, as text. Raises RunError(USAGE) for a name that stands twice in a header.

    A file without any byte has no rows and no say, unless all are such.
    """
    names: dict[str, None] = {}
    for path in files.paths:
        with file_errors(files.name(path)), _opened(files, path, "") as text:
            header = _header(text)[0]
        if len(set(header)) < len(header):
            raise RunError(Exit.USAGE, f"manifest: two columns of {files.name(path)} have the same name")
        names.update(dict.fromkeys(header))
    if not names:
        raise RunError(Exit.USAGE, f"manifest: {files.name(files.paths[0])} cannot be read: it is empty")
    return _text_schema(names)


def _header(text: io.TextIOWrapper) -> tuple[list[str], str, Iterator[tuple[int, Row]]]:
    """Return the column names, the separator, and the rows behind the header."""
    lines = iter(text)
    first = next(lines, "")
    separator = separator_of(first)
    rows = csv_rows(_put_back(first, lines), separator)
    _, header = next(rows, (0, []))
    return with_names([name or "" for name in header]), separator, rows


def _put_back(first: str, lines: Iterator[str]) -> Iterator[str]:
    if first:
        yield first
    yield from lines


def read_csv(files: ManifestFiles, path: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Yield a file's rows; an empty cell is null, "" is empty text. Raises CsvError for an invalid row."""
    with _opened(files, path, "") as text:
        names, separator, rows = _header(text)
        kept: list[Row] = []
        for number, row in rows:
            check_row(number, row, names, separator)
            kept.append(row)
            if len(kept) == BATCH_ROWS:
                yield _batch(names, kept)
                kept = []
        if kept:
            yield _batch(names, kept)


def _batch(names: list[str], rows: list[Row]) -> pa.RecordBatch:
    columns = [pa.array(cells, pa.string()) for cells in zip(*rows, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=_text_schema(names))


def jsonl_schema(files: ManifestFiles) -> pa.Schema:
    """Return every name that any line uses, as text. Raises RunError(USAGE) for a line that is not a JSON object."""
    names: dict[str, None] = {}
    for path in files.paths:
        with file_errors(files.name(path)):
            for row in _json_rows(files, path):
                names.update(dict.fromkeys(row))
    return _text_schema(names)


def _json_rows(files: ManifestFiles, path: str) -> Iterator[dict[str, str | None]]:
    """Yield every line's object with its values as text; numbers keep the spelling of the file."""
    keep = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)
    with _opened(files, path, "\n") as text:  # only \n ends a line: prompts may hold other separators
        for number, line in enumerate(text, 1):
            if not line.strip():
                continue
            try:
                row = keep.decode(line)
                if not isinstance(row, dict):
                    raise ValueError("no object")
            except (ValueError, RecursionError):
                raise RunError(
                    Exit.USAGE, f"manifest: line {number} of {files.name(path)} is not a JSON object"
                ) from None
            nested = json.loads(line) if any(isinstance(cell, dict | list) for cell in row.values()) else row
            yield {name if name.strip() else "unnamed": _as_text(cell, nested[name]) for name, cell in row.items()}


def _as_text(cell: object, exact: object) -> str | None:
    if cell is None or isinstance(cell, str):
        return cell
    return json.dumps(exact, ensure_ascii=False)


def read_jsonl(files: ManifestFiles, path: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Yield a file's rows; numbers keep their spelling, lists and objects become JSON text."""
    rows: list[dict[str, str | None]] = []
    for row in _json_rows(files, path):
        rows.append(row)
        if len(rows) == BATCH_ROWS:
            yield pa.RecordBatch.from_pylist(rows, schema=schema)
            rows = []
    if rows:
        yield pa.RecordBatch.from_pylist(rows, schema=schema)
