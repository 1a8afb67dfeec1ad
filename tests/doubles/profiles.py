"""ICC profiles made by hand, and what their numbers look like in sRGB by the formulas of the books, without lcms."""

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]
"""[n, channels] in 0..1, as they stand in the file."""

WHITE = np.array([0.9642, 1.0, 0.8249])  # D50, where profiles meet
SRGB = [[0.43607, 0.22249, 0.01392], [0.38515, 0.71687, 0.09708], [0.14307, 0.06061, 0.71410]]
DISPLAY_P3 = [[0.51512, 0.24120, -0.00105], [0.29198, 0.69225, 0.04189], [0.15710, 0.06657, 0.78407]]
ADOBE_RGB = [[0.60974, 0.31111, 0.01947], [0.20528, 0.62567, 0.06087], [0.14919, 0.06322, 0.74457]]
"""What red, green and blue are in XYZ, adapted to D50: rows of rXYZ, gXYZ, bXYZ."""
SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


@dataclass(frozen=True)
class Profile:
    """A profile's bytes, the channels it speaks of, and its own way to linear XYZ."""

    data: bytes
    channels: int
    xyz: Callable[[Numbers], Numbers]

    def srgb(self, numbers: Numbers) -> Numbers:
        """What is to be seen: [n, 3] in 0..255, cut where sRGB ends."""
        linear = np.clip(self.xyz(numbers) @ np.linalg.inv(np.array(SRGB)), 0, 1)
        curved = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
        return curved * 255


def _linear(numbers: Numbers, curve: Sequence[float]) -> Numbers:
    if len(curve) == 1:
        return numbers ** curve[0]
    g, a, b, c, d = curve
    return np.where(numbers >= d, (a * numbers + b) ** g, c * numbers)


def _fixed(*values: float) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


def _curve(curve: Sequence[float]) -> bytes:
    return b"para" + bytes(4) + struct.pack(">HH", 0 if len(curve) == 1 else 3, 0) + _fixed(*curve)


def _text(kind: bytes, text: str) -> bytes:
    """Profiles of version 4 have texts by language, those of version 2 plain ones."""
    if kind == b"mluc":
        body = text.encode("utf-16-be")
        return b"mluc" + bytes(4) + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(body), 28) + body
    body = text.encode("ascii") + b"\0"
    return b"desc" + bytes(4) + struct.pack(">I", len(body)) + body + bytes(78)


def _made(version: int, device: bytes, space: bytes, meeting: bytes, tags: Mapping[bytes, bytes]) -> bytes:
    place, entries, bodies = 128 + 4 + 12 * len(tags), b"", b""
    for name, body in tags.items():
        padded = body + bytes(-len(body) % 4)
        entries += struct.pack(">4sII", name, place + len(bodies), len(body))
        bodies += padded
    header = bytes(4) + b"lcms" + bytes([version, 0x30, 0, 0]) + device + space + meeting
    header += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _fixed(*WHITE) + b"test" + bytes(44)
    assert len(header) == 128
    size = 128 + 4 + len(entries) + len(bodies)
    return struct.pack(">I", size) + header[4:] + struct.pack(">I", len(tags)) + entries + bodies


def rgb_profile(primaries: Sequence[Sequence[float]], curve: Sequence[float], name: str) -> Profile:
    """A display's: `curve` is one gamma, or the five numbers of sRGB's form."""
    tags = {
        b"desc": _text(b"mluc", name),
        b"cprt": _text(b"mluc", "free"),
        b"wtpt": b"XYZ " + bytes(4) + _fixed(*WHITE),
    }
    for letter, row in zip("rgb", primaries, strict=True):
        tags[f"{letter}XYZ".encode()] = b"XYZ " + bytes(4) + _fixed(*row)
        tags[f"{letter}TRC".encode()] = _curve(curve)
    matrix = np.array(primaries)
    return Profile(_made(4, b"mntr", b"RGB ", b"XYZ ", tags), 3, lambda numbers: _linear(numbers, curve) @ matrix)


def grey_profile(gamma: float) -> Profile:
    """A scanner's or printer's, as for black and white photos."""
    tags = {
        b"desc": _text(b"mluc", "Grey"),
        b"cprt": _text(b"mluc", "free"),
        b"wtpt": b"XYZ " + bytes(4) + _fixed(*WHITE),
    }
    tags[b"kTRC"] = _curve([gamma])
    return Profile(_made(4, b"mntr", b"GRAY", b"XYZ ", tags), 1, lambda numbers: numbers**gamma * WHITE)


def cmyk_profile() -> Profile:
    """A press whose inks multiply; exact where each ink is all or none (a table of 2 x 2 x 2 x 2 colours)."""
    inks = np.array([[0.1, 0.55, 0.75], [0.75, 0.12, 0.4], [0.85, 0.75, 0.1], [0.08, 0.08, 0.08]])  # what they let pass
    corners = np.array([[c, m, y, k] for c in (0, 1) for m in (0, 1) for y in (0, 1) for k in (0, 1)])
    labs = np.round(_lab(_pressed(corners, inks)) * [2.55, 1, 1] + [0, 128, 128]).astype(np.uint8)
    ramp = bytes(range(256))
    table = bytes([4, 3, 2, 0]) + _fixed(1, 0, 0, 0, 1, 0, 0, 0, 1) + ramp * 4 + labs.tobytes() + ramp * 3
    tags = {
        b"desc": _text(b"desc", "Press"), b"cprt": b"text" + bytes(4) + b"free\0", b"A2B0": b"mft1" + bytes(4) + table,
        b"wtpt": b"XYZ " + bytes(4) + _fixed(*WHITE),
    }  # fmt: skip
    return Profile(_made(2, b"prtr", b"CMYK", b"Lab ", tags), 4, lambda numbers: _pressed(numbers, inks))


def _pressed(numbers: Numbers, inks: Numbers) -> Numbers:
    """XYZ of ink on white paper, by the channels of sRGB."""
    return np.prod(np.where(numbers[:, :, None] > 0.5, inks, 1.0), axis=1) @ np.array(SRGB)


def _lab(xyz: Numbers) -> Numbers:
    part = xyz / WHITE
    root = np.where(part > 216 / 24389, np.cbrt(part), (24389 / 27 * part + 16) / 116)
    return np.stack([116 * root[:, 1] - 16, 500 * (root[:, 0] - root[:, 1]), 200 * (root[:, 1] - root[:, 2])], axis=1)
