"""A profile is judged by what it does: its name says nothing."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from idgen.config import SourcesConfig
from idgen.sources.images import decode

DISPLAY_P3 = {
    b"rXYZ": (0.51512, 0.24120, -0.00105),
    b"gXYZ": (0.29198, 0.69225, 0.04189),
    b"bXYZ": (0.15710, 0.06657, 0.78407),
}
"""Its primaries as an ICC profile holds them, adapted to D50."""
ADOBE_RGB = {
    b"rXYZ": (0.60974, 0.31111, 0.01947),
    b"gXYZ": (0.20528, 0.62567, 0.06087),
    b"bXYZ": (0.14919, 0.06322, 0.74457),
}
GREEN = (0, 170, 60)
NAMES = ("sRGB built-in", "P3 Gamut, sRGB curve", "sRGB EOTF, DCI-P3", "Monitor 1", "")


def profile(primaries, name):
    """An sRGB profile with other primaries, its curve kept, under another name of the same length at most."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for n in range(struct.unpack(">I", data[128:132])[0]):
        tag, at = struct.unpack(">4sI", data[132 + 12 * n : 140 + 12 * n])
        if tag in primaries:
            data[at + 8 : at + 20] = struct.pack(">3i", *(round(value * 65536) for value in primaries[tag]))
    old = "sRGB built-in".encode("utf-16-be")
    assert old in data
    return bytes(data).replace(old, name.ljust(13)[:13].encode("utf-16-be"))


def described(data):
    return ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(data)))


def read(image, kind, icc):
    file = io.BytesIO()
    options = {"PNG": {}, "WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}[kind]
    image.save(file, kind, icc_profile=icc, **options)
    return decode(file.getvalue(), SourcesConfig(warn_side_px=1))


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG"])
@pytest.mark.parametrize("name", NAMES)
def test_wide_colours_are_converted_whatever_the_profile_is_called(kind, name):
    icc = profile(DISPLAY_P3, name)
    assert described(icc).strip() == name[:13].strip()
    photo = read(Image.new("RGB", (80, 80), GREEN), kind, icc)
    assert np.abs(photo.rgb[40, 40].astype(int) - (0, 173, 36)).max() <= 3  # what is seen is greener than sRGB has
    assert photo.warnings == ()


@pytest.mark.parametrize("name", NAMES)
def test_srgb_keeps_every_number_whatever_the_profile_is_called(name):
    dice = np.random.default_rng(3)
    image = Image.fromarray(dice.integers(0, 256, (80, 80, 3), np.uint8))
    photo = read(image, "PNG", profile({}, name))
    assert (photo.rgb == np.asarray(image)).all()


def test_adobes_primaries_under_the_name_of_srgb_are_converted():
    photo = read(Image.new("RGB", (80, 80), (120, 200, 60)), "PNG", profile(ADOBE_RGB, "sRGB built-in"))
    assert photo.rgb[40, 40, 0] < 90  # as its green is beyond sRGB's


def test_a_curve_that_is_not_srgbs_is_applied():
    """Linear numbers under sRGB's primaries and name: the grey in the middle is brighter than its number."""
    data = bytearray(profile({}, "sRGB built-in"))
    for n in range(struct.unpack(">I", data[128:132])[0]):
        tag, at = struct.unpack(">4sI", data[132 + 12 * n : 140 + 12 * n])
        if tag in (b"rTRC", b"gTRC", b"bTRC"):
            assert data[at : at + 4] == b"para"
            data[at + 8 : at + 12] = struct.pack(">HH", 0, 0)  # y = x ** g
            data[at + 12 : at + 16] = struct.pack(">i", 65536)
    photo = read(Image.new("RGB", (80, 80), (64, 64, 64)), "PNG", bytes(data))
    assert 130 <= photo.rgb[40, 40, 0] <= 142
