"""Checks a web server's answer 200: a web page is not a photo, and a body without a length may have ended early.

Both pass with time, so both are tried again; a file that is damaged where it lies would be rejected for good.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from idgen.errors import Code, RowError
from idgen.sources.deadline import TransientError

_PICTURES = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"\0\0\0\x0cjP", b"\xff\x4f\xff")
_TEXT_TYPES = re.compile(r"text/|application/(?:.*\+)?(?:json|xml)", re.IGNORECASE)
_DECIMAL = re.compile(r"[0-9]{1,9}(?:\.[0-9]{0,9})?", re.ASCII)
_TAIL_BYTES = 1024


def check_is_file(body: bytes, headers: Mapping[str, str]) -> None:
    """Raise TransientError for an answer that is empty, a web page or JSON instead of a picture."""
    if not body:
        raise TransientError(RowError(Code.FETCH_FAILED, "the server answered 200 with an empty body"))
    if body.startswith(_PICTURES) or body[4:8] == b"ftyp":  # what is said of them is often wrong
        return
    kind = headers.get("Content-Type", "").partition(";")[0].strip()
    lead = body[:512].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if lead.startswith((b"<!doctype html", b"<html", b"{", b"[")) or _TEXT_TYPES.match(kind):
        what = "JSON" if lead.startswith((b"{", b"[")) else "a web page" if lead.startswith(b"<") else "text"
        raise TransientError(RowError(Code.FETCH_FAILED, f"the server answered 200 with {what}, not a picture"))


def may_be_cut(body: bytes, headers: Mapping[str, str]) -> bool:
    """Return whether nothing said how long the body is, and the picture in it has no end."""
    if "Content-Length" in headers or "Transfer-Encoding" in headers:
        return False
    if body.startswith(b"\xff\xd8\xff"):
        return b"\xff\xd9" not in body[-_TAIL_BYTES:]
    if body.startswith(b"\x89PNG"):
        return b"IEND" not in body[-_TAIL_BYTES:]
    if body.startswith(b"RIFF"):
        return len(body) < 8 + int.from_bytes(body[4:8], "little")
    return body[4:8] == b"ftyp" and _boxes_end(body) != len(body)


def _boxes_end(body: bytes) -> int:
    """Return where the last box of an AVIF ends that its body begins."""
    at = 0
    while 0 <= at < len(body) - 7:
        size = int.from_bytes(body[at : at + 4], "big")
        if size == 1:  # written behind the name
            size = int.from_bytes(body[at + 8 : at + 16], "big")
        if size < 8:  # 0: up to the end
            return len(body)
        at += size
    return at


def retry_after_s(text: str) -> float:
    """Return the seconds that a Retry-After header asks for: a number, also with decimals, or a date; 0 for neither."""
    text = text.strip()
    if _DECIMAL.fullmatch(text):
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0.0
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
