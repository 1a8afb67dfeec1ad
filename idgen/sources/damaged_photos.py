"""Photos that Pillow calls damaged although every pixel is there: they are read, with a warning."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL.PngImagePlugin import MAX_TEXT_CHUNK

from idgen.errors import RowError
from idgen.sources.png_chunks import SIGNATURE, chunks

_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_JPEG, _JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
_MORE = (b"\x55\x2a\x91" * 64, b"\xaa\x13\x6c\xd1" * 48)
"""Bytes that a decoder takes for pixels wherever it lacks some, and skips where it has them all."""


@dataclass(frozen=True, slots=True)
class ReadDamaged:
    """A file that may be read instead, and the warning that belongs to it."""

    data: bytes
    warning: str


def mended(data: bytes, pixels: Callable[[bytes], npt.NDArray[np.uint8]]) -> ReadDamaged | None:
    """Return a readable copy of a damaged file that lacks no pixel, or None. `pixels` decodes, within its limits.

    A PNG whose texts or profile are larger than Pillow reads loses them; a JPEG gets the end marker that it lacks.
    """
    if data.startswith(SIGNATURE):
        return _without_texts(data)
    if data.startswith(_JPEG) and not data.endswith(_JPEG_END):
        return _with_end(data, pixels)
    return None


def _without_texts(data: bytes) -> ReadDamaged | None:
    kept, texts, profile = [SIGNATURE], False, False
    for name, start, end in chunks(data):
        if name in _TEXTS:
            texts = True
        elif name == b"iCCP" and not _is_read(data[start + 8 : end - 4]):
            profile = True
        else:
            kept.append(data[start:end])
    if not (texts or profile):
        return None
    warning = "profile_ignored: colours may be off" if profile else "text_ignored: the PNG holds more text than is read"
    return ReadDamaged(b"".join(kept), warning)


def _is_read(body: bytes) -> bool:
    """Return whether Pillow reads a profile of this size: texts that are too large need not cost the colours."""
    packed = body.partition(b"\0")[2][1:]
    try:
        return len(zlib.decompressobj().decompress(packed, MAX_TEXT_CHUNK + 1)) <= MAX_TEXT_CHUNK
    except zlib.error:
        return False


def _with_end(data: bytes, pixels: Callable[[bytes], npt.NDArray[np.uint8]]) -> ReadDamaged | None:
    """Add the end marker where the pixels before it are complete: then what is put between changes none of them."""
    data = data.removesuffix(_JPEG_END[:1])  # half of the marker
    try:
        found = pixels(data + _JPEG_END)
        if all(np.array_equal(found, pixels(data + more + _JPEG_END)) for more in _MORE):
            return ReadDamaged(data + _JPEG_END, "end_missing: the JPEG has no end marker, but no pixel is lost")
    except RowError:
        pass
    return None
