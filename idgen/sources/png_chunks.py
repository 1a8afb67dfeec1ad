"""The chunks that a PNG is made of."""

import struct
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield each chunk's name, beginning and end, in the order of the file; a chunk that is cut ends beyond it.

    The body lies from `start + 8` to `end - 4`.
    """
    at = len(SIGNATURE)
    while at + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        yield name, at, end
        at = end
