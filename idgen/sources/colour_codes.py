"""Colours that a file gives as numbers (PNG's cICP, gAMA and cHRM, AVIF's nclx), made into a profile.

Phones and converters write Display P3 so. The numbers are those of ITU-T H.273; browsers read all four.
"""

import struct
from itertools import takewhile

import numpy as np
import numpy.typing as npt
from PIL import ImageCms

from idgen.sources.png_chunks import chunks

_D65, _D50 = (0.3127, 0.329), (0.9642, 1.0, 0.8249)
_BT709 = ((0.64, 0.33), (0.3, 0.6), (0.15, 0.06))
_PRIMARIES = {
    1: _BT709,
    5: ((0.64, 0.33), (0.29, 0.6), (0.15, 0.06)),
    6: ((0.63, 0.34), (0.31, 0.595), (0.155, 0.07)),
    9: ((0.708, 0.292), (0.17, 0.797), (0.131, 0.046)),  # BT.2020
    12: ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06)),  # Display P3
}
_GAMMAS = {1: 0.0, 4: 2.2, 5: 2.8, 6: 0.0, 8: 1.0, 13: 0.0, 14: 0.0, 15: 0.0}
"""0 = sRGB's curve, also for those of cameras, which screens show with it."""
_UNSPECIFIED = 2
_SRGB_GAMMA = 45_455
"""What writers of sRGB put into gAMA."""
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])

Point = tuple[float, float]
Floats = npt.NDArray[np.float64]


class UnknownColoursError(ValueError):
    """Numbers that no picture of 8 bits can be made of here: HDR's curves, and what H.273 does not list."""


def profile_in_numbers(data: bytes, own: bytes | None) -> bytes | None:
    """Return the profile that a file means; `own` is the one it has. cICP goes before it, all others behind it.

    Raises UnknownColoursError.
    """
    if data.startswith(b"\x89PNG"):
        found = _before_pixels(data)
        if len(found.get(b"cICP", b"")) == 4:
            return _of_codes(found[b"cICP"][0], found[b"cICP"][1])
        return own or (None if b"sRGB" in found else _of_gamma(found.get(b"gAMA", b""), found.get(b"cHRM", b"")))
    at = data.find(b"colrnclx", 0, _HEADER_BYTES) if data[4:8] == b"ftyp" else -1
    if own or at < 0:
        return own
    return _of_codes(*struct.unpack_from(">HH", data[: at + 12].ljust(at + 12, b"\0"), at + 8))


_HEADER_BYTES = 64 * 2**10


def _before_pixels(data: bytes) -> dict[bytes, bytes]:
    """Return the chunks that stand before the pixels, by name, as far as any that is asked for reaches."""
    before = takewhile(lambda chunk: chunk[0] != b"IDAT", chunks(data))
    return {name: data[start + 8 : min(end - 4, start + 40)] for name, start, end in before}


def _of_codes(primaries: int, transfer: int) -> bytes | None:
    if _UNSPECIFIED in (primaries, transfer):
        return None
    if primaries not in _PRIMARIES or transfer not in _GAMMAS:
        raise UnknownColoursError(f"colours {primaries}, curve {transfer}")
    return _profile(_D65, _PRIMARIES[primaries], _GAMMAS[transfer])


def _of_gamma(gamma: bytes, points: bytes) -> bytes | None:
    number = int.from_bytes(gamma, "big") if len(gamma) == 4 else 0
    if not number and len(points) != 32:
        return None
    curve = 0.0 if not number or abs(number - _SRGB_GAMMA) <= 50 else 100_000 / number
    if curve and not 0.1 < curve < 10:
        raise UnknownColoursError(f"gamma {curve:g}")
    if len(points) != 32:
        return _profile(_D65, _BT709, curve)
    white, *primaries = [(x / 1e5, y / 1e5) for x, y in struct.iter_unpack(">II", points)]
    return _profile(white, tuple(primaries), curve)


def _profile(white: Point, primaries: tuple[Point, ...], gamma: float) -> bytes:
    """Return lcms' sRGB profile with other primaries and, unless `gamma` is 0, another curve."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    columns = dict(zip((b"rXYZ", b"gXYZ", b"bXYZ"), _colorants(white, primaries), strict=True))
    for n in range(int.from_bytes(data[128:132], "big")):
        tag, at = struct.unpack_from(">4sI", data, 132 + 12 * n)
        if tag in columns:
            struct.pack_into(">3i", data, at + 8, *(round(value * 65536) for value in columns[tag]))
        elif gamma and tag in (b"rTRC", b"gTRC", b"bTRC"):
            struct.pack_into(">HHi", data, at + 8, 0, 0, round(gamma * 65536))  # the power alone
    return bytes(data)


def _colorants(white: Point, primaries: tuple[Point, ...]) -> list[Floats]:
    """Return XYZ of red, green and blue, adapted to D50. Raises UnknownColoursError for points that span nothing."""
    try:
        columns = np.stack([_xyz(point) for point in primaries], axis=1)
        seen = columns * np.linalg.solve(columns, _xyz(white))
        scale = (_BRADFORD @ _D50) / (_BRADFORD @ _xyz(white))
        adapted = np.linalg.inv(_BRADFORD) @ (scale[:, None] * (_BRADFORD @ seen))
    except (np.linalg.LinAlgError, ZeroDivisionError) as error:
        raise UnknownColoursError("primaries that span no colours") from error
    if not np.abs(adapted).max() < 8:
        raise UnknownColoursError("primaries that span no colours")
    return list(adapted.T)


def _xyz(point: Point) -> Floats:
    x, y = point
    return np.array([x / y, 1.0, (1 - x - y) / y])
