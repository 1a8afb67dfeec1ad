"""Errors in reading a manifest's files, as messages for users: they name the file and repeat none of its text."""

import re
from collections.abc import Generator
from contextlib import contextmanager

import pyarrow as pa

from idgen.errors import Exit, RunError
from idgen.manifest.csv_rows import CsvError

_DAMAGED = re.compile("Truncated compressed stream|zlib inflate failed")
"""What Arrow says of a gzip file, without a type of its own."""


@contextmanager
def file_errors(file: str) -> Generator[None, None, None]:
    """Raise as RunError that names `file`: USAGE for what is wrong in it, UNAVAILABLE for what the store says."""
    try:
        yield
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, UnicodeError, CsvError) as error:
        raise RunError(Exit.USAGE, f"manifest: {file}: {_reason(error)}") from None
    except OSError as error:
        if error.errno is None and _DAMAGED.match(str(error)):
            raise RunError(Exit.USAGE, f"manifest: {file} is cut off or damaged: it cannot be unpacked") from None
        raise RunError(Exit.UNAVAILABLE, f"manifest: {file} cannot be read ({type(error).__name__})") from error


def _reason(error: Exception) -> str:
    """Say what is wrong without the row's text, which Arrow likes to quote."""
    if isinstance(error, CsvError):
        return str(error)
    if "utf" in str(error).lower():
        return "the text is not UTF-8; save it as UTF-8"
    return f"cannot be read as its file name's ending says ({type(error).__name__})"
