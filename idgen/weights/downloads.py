"""Downloads a file from a web address outside the hub, and continues an interrupted download."""

from pathlib import Path

import urllib3

from idgen.errors import Exit, RunError
from idgen.sources.redact import redact_text

MAX_ARCHIVE_BYTES = 2 * 2**30
_CHUNK_BYTES = 2**16
"""What a cut transfer loses at most."""


def download(address: str, target: Path) -> Path:
    """Fetch `address` into `target` and return it; a cut transfer leaves `<target>.part`, from where the next goes on.

    Raises RunError(UNAVAILABLE) when the transfer fails or what comes is larger than MAX_ARCHIVE_BYTES.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    there = part.stat().st_size if part.is_file() else 0
    shown = redact_text(address.partition("?")[0])
    headers = {"Range": f"bytes={there}-", "Accept-Encoding": "identity"} if there else {"Accept-Encoding": "identity"}
    try:
        with urllib3.PoolManager(timeout=urllib3.Timeout(connect=10, read=60), retries=3) as pool:
            answer = pool.request("GET", address, headers=headers, preload_content=False)
            if answer.status == 416:  # all of it is there already, or it is another file now
                part.unlink()
                raise RunError(
                    Exit.UNAVAILABLE,
                    f"{shown} the download cannot be continued: run the same command again to start over",
                )
            if answer.status not in (200, 206):
                raise RunError(Exit.UNAVAILABLE, f"{shown} answers {answer.status}")
            _write(answer, part, append=answer.status == 206, shown=shown)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise RunError(
            Exit.UNAVAILABLE,
            f"{shown} could not be fetched ({type(error).__name__}); the same command continues the download",
        ) from error
    part.replace(target)
    return target


def _write(answer: urllib3.BaseHTTPResponse, part: Path, *, append: bool, shown: str) -> None:
    with part.open("ab" if append else "wb") as file:
        for chunk in answer.stream(_CHUNK_BYTES):
            file.write(chunk)
            if file.tell() > MAX_ARCHIVE_BYTES:
                raise RunError(Exit.UNAVAILABLE, f"{shown} is larger than {MAX_ARCHIVE_BYTES} bytes")
