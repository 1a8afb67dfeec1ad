"""Files that Pillow calls damaged although every pixel is there, and files that are."""

import io
import struct
import zlib

import numpy as np
import pytest
from doubles.profiles import DISPLAY_P3, SRGB_CURVE, rgb_profile
from PIL import Image, PngImagePlugin

from idgen.config import SourcesConfig
from idgen.errors import Code, RowError
from idgen.sources.images import decode

CONFIG = SourcesConfig(warn_side_px=64)
NOISE = Image.fromarray(np.random.default_rng(1).integers(0, 255, (96, 136, 3), np.uint8))


def png(*chunks: tuple[bytes, bytes], behind: bool = False) -> bytes:
    file = io.BytesIO()
    NOISE.save(file, "PNG")
    data = file.getvalue()
    at = len(data) - 12 if behind else 33
    made = b"".join(struct.pack(">I", len(b)) + n + b + struct.pack(">I", zlib.crc32(n + b)) for n, b in chunks)
    return data[:at] + made + data[at:]


BIG = zlib.compress(b"x" * (2 * 2**20))
CHUNKS = {
    "zTXt": (b"zTXt", b"workflow\0\0" + BIG),
    "iTXt": (b"iTXt", b"parameters\0\1\0\0\0" + BIG),
    "iCCP": (b"iCCP", b"wide\0\0" + BIG),
}


@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize("name", CHUNKS)
def test_a_png_with_large_texts_or_profile_is_read_with_a_warning(name: str, behind: bool):
    if behind and name == "iCCP":
        pytest.skip("a profile stands before the pixels")
    photo = decode(png(CHUNKS[name], behind=behind), CONFIG)
    assert np.array_equal(photo.rgb, np.asarray(NOISE))
    assert photo.warnings[0].startswith("profile_ignored" if name == "iCCP" else "text_ignored")


def test_large_texts_do_not_cost_the_colours():
    wide = rgb_profile(DISPLAY_P3, SRGB_CURVE, "Display P3").data
    profile = (b"iCCP", b"wide\0\0" + zlib.compress(wide))
    photo = decode(png(profile, CHUNKS["zTXt"]), CONFIG)
    assert np.array_equal(photo.rgb, decode(png(profile), CONFIG).rgb)
    assert not np.array_equal(photo.rgb, np.asarray(NOISE))
    assert [warning.split(":")[0] for warning in photo.warnings] == ["text_ignored"]


def test_a_png_with_small_texts_has_no_warning():
    file = io.BytesIO()
    info = PngImagePlugin.PngInfo()
    info.add_text("workflow", "x" * 1000, zip=True)
    NOISE.save(file, "PNG", pnginfo=info)
    assert decode(file.getvalue(), CONFIG).warnings == ()


def jpeg(**options) -> bytes:
    file = io.BytesIO()
    NOISE.save(file, "JPEG", quality=90, **options)
    return file.getvalue()


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}, {"subsampling": 0}])
def test_a_jpeg_that_lacks_only_its_end_is_read_with_a_warning(options):
    whole = jpeg(**options)
    for cut in (whole[:-2], whole[:-1]):
        photo = decode(cut, CONFIG)
        assert np.array_equal(photo.rgb, decode(whole, CONFIG).rgb)
        assert photo.warnings[0].startswith("end_missing")
    assert decode(whole, CONFIG).warnings == ()


@pytest.mark.parametrize("options", [{}, {"restart_marker_rows": 1}, {"subsampling": 0}])
def test_a_jpeg_that_lacks_pixels_is_damaged(options):
    whole = jpeg(**options)
    for lost in (6, 20, 200, len(whole) // 3):
        with pytest.raises(RowError) as caught:
            decode(whole[:-lost], CONFIG)
        assert caught.value.code == Code.IMAGE_CORRUPT


def test_a_png_that_lacks_pixels_is_damaged_with_and_without_texts():
    for data in (png(), png(CHUNKS["zTXt"])):
        with pytest.raises(RowError) as caught:
            decode(data[: len(data) * 2 // 3], CONFIG)
        assert caught.value.code == Code.IMAGE_CORRUPT


def test_limits_hold_for_what_is_mended():
    for data in (png(CHUNKS["zTXt"]), jpeg()[:-2]):
        with pytest.raises(RowError) as caught:
            decode(data, SourcesConfig(max_pixels=1000))
        assert caught.value.code == Code.IMAGE_TOO_LARGE
