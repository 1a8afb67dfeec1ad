"""Every form of file with every kind of profile: what is read is what the formulas of doubles/profiles.py say.

A profile is judged by what it does: its name says nothing. Chromium shows the same colours.
"""

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from doubles.profiles import ADOBE_RGB, DISPLAY_P3, SRGB, SRGB_CURVE, Profile, cmyk_profile, grey_profile, rgb_profile
from PIL import Image, ImageCms, features

from idgen.config import SourcesConfig
from idgen.sources.images import Photo, decode

SIDE = 48
"""Of one colour's square: four squares make a picture."""
COLOURS = [(0, 170, 60), (200, 30, 30), (90, 120, 200), (190, 190, 190)]
GREYS = [(20,), (90,), (160,), (230,)]
INKS = [(255, 0, 0, 0), (0, 255, 255, 0), (0, 0, 0, 255), (255, 0, 255, 0)]
LEVELS = 4
"""Of 255, allowed between a pixel and its formula: files that lose and tables of 8 bit lose so much."""


def squares(mode: str, colours: list[tuple[int, ...]]) -> Image.Image:
    image = Image.new(mode, (2 * SIDE, 2 * SIDE))
    for n, colour in enumerate(colours):
        x, y = n % 2 * SIDE, n // 2 * SIDE
        image.paste(colour[0] if len(colour) == 1 else colour, (x, y, x + SIDE, y + SIDE))
    return image


def saved(image: Image.Image, kind: str, icc: bytes | None, **more: object) -> bytes:
    options = {
        "PNG": {}, "WEBP": {"lossless": True, "exact": True}, "JPEG": {"quality": 100, "subsampling": 0},
        "AVIF": {"quality": 100, "subsampling": "4:4:4", "speed": 10},
    }[kind]  # fmt: skip
    file = io.BytesIO()
    image.save(file, kind, icc_profile=icc, **options, **more)
    return file.getvalue()


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def wide_png(colour_type: int, colours: list[tuple[int, ...]], icc: bytes | None) -> bytes:
    """16 bits a channel, written by hand: Pillow cannot."""
    lines = b""
    for pair in (colours[:2], colours[2:]):
        row = b"".join(struct.pack(f">{len(c)}H", *(value * 257 for value in c)) * SIDE for c in pair)
        lines += (b"\0" + row) * SIDE
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 2 * SIDE, 2 * SIDE, 16, colour_type, 0, 0, 0))
    profile = chunk(b"iCCP", b"icc\0\0" + zlib.compress(icc)) if icc is not None else b""
    return b"\x89PNG\r\n\x1a\n" + head + profile + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def ycck_jpeg(inks: list[tuple[int, ...]], icc: bytes | None) -> bytes:
    """As Photoshop writes CMYK: the inks as YCbCr, which Adobe's marker says."""
    parts = []
    for *cmy, black in inks:
        y, cb, cr = Image.new("RGB", (1, 1), tuple(cmy)).convert("YCbCr").getpixel((0, 0))
        parts.append((255 - y, 255 - cb, 255 - cr, black))
    data = saved(squares("CMYK", parts), "JPEG", icc)
    at = data.index(b"\xff\xee\x00\x0eAdobe") + 15
    assert data[at] == 0
    return data[:at] + b"\2" + data[at + 1 :]


def unmarked_jpeg(inks: list[tuple[int, ...]], icc: bytes | None) -> bytes:
    """CMYK without Adobe's marker: taken for Adobe's kind, as browsers do."""
    data = saved(squares("CMYK", inks), "JPEG", icc)
    at = data.index(b"\xff\xee\x00\x0eAdobe")
    return data[:at] + data[at + 16 :]


@dataclass(frozen=True)
class Form:
    """A kind of file: its colours, and what writes them with a profile."""

    colours: list[tuple[int, ...]]
    write: Callable[[bytes | None], bytes]


def form(kind: str, mode: str) -> Form:
    if mode == "P":
        return Form(COLOURS, lambda icc: saved(squares("RGB", COLOURS).quantize(8), kind, icc))
    colours = GREYS if mode in ("L", "LA") else INKS if mode == "CMYK" else COLOURS
    opaque = [(*colour, 255) for colour in colours] if mode in ("LA", "RGBA") else colours
    return Form(colours, lambda icc: saved(squares(mode, opaque), kind, icc))


FORMS = {
    **{f"PNG-{mode}": form("PNG", mode) for mode in ("RGB", "RGBA", "P", "L", "LA")},
    **{f"JPEG-{mode}": form("JPEG", mode) for mode in ("RGB", "L", "CMYK")},
    **{f"WEBP-{mode}": form("WEBP", mode) for mode in ("RGB", "RGBA")},
    "JPEG-progressive": Form(COLOURS, lambda icc: saved(squares("RGB", COLOURS), "JPEG", icc, progressive=True)),
    "PNG-16-grey": Form(GREYS, lambda icc: wide_png(0, GREYS, icc)),
    "PNG-16-RGB": Form(COLOURS, lambda icc: wide_png(2, COLOURS, icc)),
    "PNG-16-grey-alpha": Form(GREYS, lambda icc: wide_png(4, [(*grey, 255) for grey in GREYS], icc)),
    "PNG-16-RGBA": Form(COLOURS, lambda icc: wide_png(6, [(*colour, 255) for colour in COLOURS], icc)),
    "JPEG-YCCK": Form(INKS, lambda icc: ycck_jpeg(INKS, icc)),
    "JPEG-CMYK-unmarked": Form(INKS, lambda icc: unmarked_jpeg(INKS, icc)),
    **({f"AVIF-{mode}": form("AVIF", mode) for mode in ("RGB", "RGBA", "L")} if features.check("avif") else {}),
}
NAMES = ("sRGB built-in", "DCI-P3 D65 Gamut with sRGB Transfer", "Display P3 Gamut with sRGB Transfer",
         "sRGB EOTF with DCI-P3 Color Gamut", "Display P3", "")  # fmt: skip
"""What phones call Display P3, and other names that prove nothing."""
PROFILES = {
    **{f"P3 as {name!r}": rgb_profile(DISPLAY_P3, SRGB_CURVE, name) for name in NAMES},
    "Adobe RGB": rgb_profile(ADOBE_RGB, [2.19921875], "Adobe RGB (1998)"),
    "Adobe RGB as sRGB": rgb_profile(ADOBE_RGB, [2.19921875], "sRGB IEC61966-2.1"),
    "linear as sRGB": rgb_profile(SRGB, [1.0], "sRGB IEC61966-2.1"),
    "gamma as sRGB": rgb_profile(SRGB, [2.2], "sRGB IEC61966-2.1"),
    "sRGB": rgb_profile(SRGB, SRGB_CURVE, "Monitor 1"),
    "grey": grey_profile(1.8),
    "press": cmyk_profile(),
}
BROKEN = {
    "no profile at all": b"no profile at all", "zeros": bytes(5000), "cut": PROFILES["Adobe RGB"].data[:200],
    "empty table": PROFILES["Adobe RGB"].data[:128] + bytes(4),
}  # fmt: skip


def looks(channels: int, colours: list[tuple[int, ...]], profile: Profile | None) -> np.ndarray | None:
    """[4, 3]: what is to be seen, None where the profile is not for such a file."""
    numbers = np.array(colours) / 255
    if profile is None:
        if channels == 4:  # nobody knows the inks: what they leave of the light
            return (1 - numbers[:, :3]) * (1 - numbers[:, 3:]) * 255
        return numbers.repeat(3 if channels == 1 else 1, axis=1) * 255
    if channels == 1 and profile.channels == 3:  # equal parts of its colours
        return profile.srgb(numbers.repeat(3, axis=1))
    return profile.srgb(numbers) if channels == profile.channels else None


def seen(photo: Photo) -> np.ndarray:
    return np.array([photo.rgb[SIDE // 2 + n // 2 * SIDE, SIDE // 2 + n % 2 * SIDE] for n in range(4)], float)


def codes(photo: Photo) -> list[str]:
    return [warning.split(":")[0] for warning in photo.warnings]


def read(data: bytes) -> Photo:
    return decode(data, SourcesConfig(warn_side_px=1))


@pytest.mark.parametrize("name", FORMS)
def test_every_file_with_every_profile_is_read_as_the_formulas_say(name: str):
    colours = FORMS[name].colours
    channels = len(colours[0])
    wrong = {}
    for kind, profile in [("none", None), *PROFILES.items(), *BROKEN.items()]:
        photo = read(FORMS[name].write(profile.data if isinstance(profile, Profile) else profile))
        fits = isinstance(profile, Profile) and looks(channels, colours, profile) is not None
        wanted = looks(channels, colours, profile if fits else None)
        said = ["cmyk_without_profile"] if channels == 4 and profile is None else []
        if np.abs(seen(photo) - wanted).max() > LEVELS or codes(photo) != (said if fits or not profile else IGNORED):
            wrong[kind] = (seen(photo), wanted, photo.warnings)
    assert not wrong


IGNORED = ["profile_ignored"]
P3, LINEAR = PROFILES["P3 as 'Display P3'"], PROFILES["linear as sRGB"]
WIDE = rgb_profile(
    [[0.67346, 0.27903, -0.00193], [0.16566, 0.67534, 0.02998], [0.12510, 0.04563, 0.79716]], SRGB_CURVE, ""
)
CICP = {
    (12, 13): P3, (12, 1): P3, (9, 13): WIDE, (1, 13): None, (2, 2): None, (1, 8): LINEAR,
    (12, 4): rgb_profile(DISPLAY_P3, [2.2], ""), (9, 16): IGNORED, (9, 18): IGNORED, (77, 13): IGNORED,
}  # fmt: skip
"""Primaries and curve by ITU-T H.273: what they mean, None = sRGB."""
GAMMA_1, GAMMA_SRGB = (b"gAMA", struct.pack(">I", 100_000)), (b"gAMA", struct.pack(">I", 45_455))
POINTS_P3 = (b"cHRM", struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000))
CHUNKS = {
    "gamma": ([GAMMA_1], LINEAR),
    "sRGB's gamma": ([GAMMA_SRGB], None),
    "points": ([POINTS_P3], P3),
    "points and gamma": ([GAMMA_SRGB, POINTS_P3], P3),
    "sRGB goes before gamma": ([GAMMA_1, (b"sRGB", b"\0")], None),
    "a profile goes before gamma": ([GAMMA_1, (b"iCCP", b"icc\0\0" + zlib.compress(P3.data))], P3),
    "cICP goes before a profile": ([(b"cICP", b"\1\x0d\0\1"), (b"iCCP", b"icc\0\0" + zlib.compress(P3.data))], None),
    "points of nothing": ([(b"cHRM", bytes(32))], IGNORED),
    "points in one line": ([(b"cHRM", struct.pack(">8I", *[30000, 30000] * 4))], IGNORED),
    "gammas of nothing": ([(b"gAMA", struct.pack(">I", 1))], IGNORED),
    "no gamma": ([(b"gAMA", bytes(4))], None),
}


def check_numbers(
    data: bytes, colours: list[tuple[int, ...]], meant: Profile | list[str] | None, levels: int = LEVELS
) -> None:
    photo = read(data)
    wanted = looks(len(colours[0]), colours, meant if isinstance(meant, Profile) else None)
    assert np.abs(seen(photo) - wanted).max() <= levels
    assert codes(photo) == (meant if isinstance(meant, list) else [])


@pytest.mark.parametrize("name", ["PNG-RGB", "PNG-P", "PNG-L", "PNG-16-RGBA"])
def test_colours_that_a_png_says_in_numbers_are_read(name: str):
    cases = {**{str(pair): ([(b"cICP", bytes([*pair, 0, 1]))], meant) for pair, meant in CICP.items()}, **CHUNKS}
    plain = FORMS[name].write(None)
    for chunks, meant in cases.values():
        check_numbers(plain[:33] + b"".join(chunk(*pair) for pair in chunks) + plain[33:], FORMS[name].colours, meant)


@pytest.mark.skipif("AVIF-RGB" not in FORMS, reason="this Pillow reads no AVIF")
def test_colours_that_an_avif_says_in_numbers_are_read():
    for pair, meant, icc in [*((*case, None) for case in CICP.items()), ((12, 13), WIDE, WIDE.data)]:
        data = FORMS["AVIF-RGB"].write(icc)
        at = data.find(b"colrnclx") + 8
        assert at > 8
        data = data[:at] + struct.pack(">HH", *pair) + data[at + 4 :]
        check_numbers(data, COLOURS, meant, levels=2 * LEVELS)  # wide primaries make more of what is lost


def test_srgb_keeps_every_number_whatever_the_profile_is_called():
    image = Image.fromarray(np.random.default_rng(3).integers(0, 256, (80, 80, 3), np.uint8))
    own = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for icc in (own, *(rgb_profile(SRGB, SRGB_CURVE, name).data for name in NAMES)):
        photo = read(saved(image, "PNG", icc))
        assert (photo.rgb == np.asarray(image)).all()
