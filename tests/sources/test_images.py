import contextlib
import io
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image, ImageDraw, PngImagePlugin, features

from idgen.config import SourcesConfig
from idgen.errors import Code, RowError
from idgen.sources.images import decode

CONFIG = SourcesConfig(warn_side_px=100)
SIDE = 120


def picture(mode="RGB"):
    """Four flat quarters: red, green / blue, grey."""
    image = Image.new("RGB", (SIDE, SIDE + 40))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 59, 79), fill=(200, 30, 30))
    draw.rectangle((60, 0, 119, 79), fill=(30, 160, 40))
    draw.rectangle((0, 80, 59, 159), fill=(30, 40, 190))
    draw.rectangle((60, 80, 119, 159), fill=(128, 128, 128))
    return image.quantize(8) if mode == "P" else image.convert(mode)


def corners(rgb):
    height, width, _ = rgb.shape
    spots = [(height // 4, width // 4), (height // 4, width * 3 // 4), (height * 3 // 4, width // 4)]
    return np.array([rgb[spot] for spot in spots], dtype=int)


QUARTERS = np.array([(200, 30, 30), (30, 160, 40), (30, 40, 190)])


def encoded(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def raw_png(width, height, depth, colour, rows):
    """A PNG of any depth, written by hand; `rows` are the scanlines with their filter bytes."""
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def bomb_png(width, height):
    deflate = zlib.compressobj(9)
    row = b"\0" * (width + 1)
    body = b"".join(deflate.compress(row) for _ in range(height)) + deflate.flush()
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def code_of(data, config=CONFIG):
    with pytest.raises(RowError) as caught:
        decode(data, config)
    return caught.value.code


def test_black_and_white_becomes_three_channels():
    rgb = decode(encoded(picture("1")), CONFIG).rgb
    assert rgb.dtype == np.uint8
    assert (rgb == np.asarray(picture("1"))[..., None] * 255).all()


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_every_orientation_ends_upright(turn, kind):
    upright = picture()
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright if turn == 1 else upright.transpose(undo[turn])
    exif = Image.Exif()
    exif[0x0112] = turn
    rgb = decode(encoded(stored, kind, exif=exif, **({} if kind == "PNG" else {"quality": 95})), CONFIG).rgb
    assert rgb.shape == (160, 120, 3)
    assert np.abs(corners(rgb) - QUARTERS).max() <= 12


def test_sixteen_bit_grey_keeps_its_shades():
    row = b"\0" + b"".join(struct.pack(">H", 65535 * x // 127) for x in range(128))
    rgb = decode(raw_png(128, 100, 16, 0, row * 100), CONFIG).rgb
    assert np.abs(rgb[0, :, 0].astype(int) - np.arange(128) * 255 / 127).max() <= 1


def test_sixteen_bit_colour_keeps_its_shades():
    row = b"\0" + b"".join(struct.pack(">HHH", 65535 * x // 127, 32768, 0) for x in range(128))
    rgb = decode(raw_png(128, 100, 16, 2, row * 100), CONFIG).rgb
    assert np.abs(rgb[0, :, 0].astype(int) - np.arange(128) * 255 / 127).max() <= 1
    assert set(rgb[0, :, 1]) == {128}


def test_transparency_is_shown_on_white_and_said():
    image = picture("RGBA")
    image.putpixel((5, 5), (10, 10, 10, 0))
    photo = decode(encoded(image), CONFIG)
    assert tuple(photo.rgb[5, 5]) == (255, 255, 255)
    assert [warning.split(":")[0] for warning in photo.warnings] == ["transparency"]


def test_an_opaque_alpha_channel_is_not_worth_a_word():
    photo = decode(encoded(picture("RGBA")), CONFIG)
    assert (photo.warnings, photo.alpha) == ((), None)


def test_the_alpha_channel_comes_upright_with_the_picture():
    image = Image.new("RGBA", (120, 90), (200, 0, 0, 255))
    image.paste((200, 0, 0, 40), (0, 0, 30, 20))  # the upper left corner
    exif = Image.Exif()
    exif[0x0112] = 6  # 90 degrees to the right: it goes to the upper right one
    for ground in ("white", "black"):
        photo = decode(encoded(image, exif=exif), CONFIG, ground)
        assert photo.alpha is not None
        assert photo.alpha.shape == photo.rgb.shape[:2] == (120, 90)
        assert (photo.alpha[:30, -20:] == 40).all()
        assert (photo.alpha == 40).sum() == 600
        assert (photo.alpha[photo.alpha != 40] == 255).all()


def test_a_transparent_palette_colour_is_in_the_alpha_channel():
    image = picture("RGB").quantize(8)
    see_through = image.getpixel((5, 5))
    photo = decode(encoded(image, transparency=see_through), CONFIG)
    assert np.array_equal(photo.alpha == 0, np.asarray(image) == see_through)
    assert decode(encoded(picture("RGB")), CONFIG).alpha is None


def test_a_transparent_palette_colour_is_shown_on_white():
    image = picture("RGB").quantize(8)
    data = encoded(image, transparency=image.getpixel((5, 5)))
    assert tuple(decode(data, CONFIG).rgb[5, 5]) == (255, 255, 255)


def test_a_phones_photo_with_a_second_picture_behind_it_is_a_photo():
    data = encoded(picture(), "MPO", save_all=True, append_images=[picture().resize((64, 64))], quality=95)
    assert Image.open(io.BytesIO(data)).format == "MPO"
    assert decode(data, CONFIG).rgb.shape == (160, 120, 3)


def test_a_place_of_birth_in_the_file_does_not_come_out_of_it():
    exif = Image.Exif()
    exif.get_ifd(0x8825)[1] = "N"
    exif.get_ifd(0x8825)[2] = (48.0, 8.0, 13.0)
    exif[0x010E] = "canary-description"
    photo = decode(encoded(picture(), "JPEG", exif=exif), CONFIG)
    again = Image.open(io.BytesIO(encoded(Image.fromarray(photo.rgb), "JPEG")))
    assert not again.getexif()
    assert "canary" not in repr(photo.warnings)


def test_damaged_exif_costs_a_warning_not_the_photo():
    data = encoded(picture(), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\xff" * 30)
    assert decode(data, CONFIG).rgb.shape == (160, 120, 3)


def animated(kind):
    return encoded(picture(), kind, save_all=True, append_images=[picture().rotate(90), picture().rotate(180)])


def text_bomb():
    info = PngImagePlugin.PngInfo()
    info.add_text("c", "x" * 3_000_000, zip=True)
    return encoded(picture(), pnginfo=info)


def test_a_bomb_of_text_is_left_out_unread():
    assert decode(text_bomb(), CONFIG).warnings[0].startswith("text_ignored")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", Code.IMAGE_CORRUPT),
        (b"hello", Code.IMAGE_FORMAT),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", Code.IMAGE_FORMAT),
        (b"<!doctype html><title>404</title>", Code.IMAGE_FORMAT),
        (encoded(picture(), "GIF"), Code.IMAGE_FORMAT),
        (encoded(picture(), "BMP"), Code.IMAGE_FORMAT),
        (encoded(picture(), "TIFF"), Code.IMAGE_FORMAT),
        (encoded(picture(), "ICO"), Code.IMAGE_FORMAT),
        (animated("WEBP"), Code.IMAGE_FORMAT),
        (animated("PNG"), Code.IMAGE_FORMAT),
        (encoded(picture(), "PNG")[:20], Code.IMAGE_CORRUPT),
        (encoded(picture(), "PNG")[:200], Code.IMAGE_CORRUPT),
        (encoded(picture(), "JPEG")[:10], Code.IMAGE_CORRUPT),
        (encoded(picture(), "JPEG")[:800], Code.IMAGE_CORRUPT),
        (encoded(picture(), "WEBP")[:15], Code.IMAGE_CORRUPT),
        (encoded(picture(), "WEBP")[:200], Code.IMAGE_CORRUPT),
        (encoded(picture(), "PNG").replace(b"IHDR", b"IHDX"), Code.IMAGE_CORRUPT),
        (raw_png(SIDE, SIDE, 8, 3, (b"\0" + b"\1" * SIDE) * SIDE), Code.IMAGE_CORRUPT),  # a palette picture without one
        (encoded(Image.new("RGB", (63, 500))), Code.IMAGE_TOO_SMALL),
        (encoded(Image.new("L", (40_000, 64))), Code.IMAGE_TOO_LARGE),
        (encoded(Image.new("L", (8001, 8000))), Code.IMAGE_TOO_LARGE),
    ],
)
def test_what_is_no_usable_photo_has_its_code(data, code):
    assert code_of(data) == code


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_no_damage_escapes_as_another_error(kind):
    whole = bytearray(encoded(picture(), kind))
    dice = np.random.default_rng(7)
    for _ in range(300):
        data = bytearray(whole)
        for at in dice.integers(0, len(data), 4):
            data[at] = dice.integers(0, 256)
        with contextlib.suppress(RowError):
            decode(bytes(data[: dice.integers(len(data) // 2, len(data) + 1)]), CONFIG)


def test_a_small_photo_gets_a_warning():
    photo = decode(encoded(picture()), SourcesConfig(warn_side_px=800))
    assert photo.warnings == ("small_photo: 120x160 px, better 800 or more",)


MEASURE = """
import re, sys
from idgen.config import SourcesConfig
from idgen.errors import RowError
from idgen.sources.images import decode

def peak_mb():  # of this process alone: getrusage's begins with its parent's
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) // 1024

data = open(sys.argv[1], "rb").read()
before, code = peak_mb(), "ok"
try:
    decode(data, SourcesConfig(**eval(sys.argv[2])))
except RowError as error:
    code = error.code
print(code, peak_mb() - before, peak_mb())
"""


@pytest.mark.parametrize(("kind", "side"), [("PNG", 13_000), ("PNG", 20_000), ("WEBP", 16_383)])
def test_a_pixel_bomb_is_refused_before_it_fills_memory(tmp_path, kind, side):
    path = tmp_path / "bomb"
    path.write_bytes(bomb_png(side, side) if kind == "PNG" else webp_header(side))
    assert path.stat().st_size < 500_000
    code, grown_mb = measured(path)
    assert code == Code.IMAGE_TOO_LARGE
    assert grown_mb < 10


def test_the_largest_photo_that_is_decoded_needs_less_than_a_gigabyte(tmp_path):
    """And shows that the measurement above would see a bomb."""
    path = tmp_path / "large.png"
    for data in (bomb_png(8000, 8000), raw_png(8000, 8000, 16, 0, bytes(16_001 * 8000))):
        path.write_bytes(data)
        code, grown_mb = measured(path)
        assert code == "ok"
        assert 190 < grown_mb < 800


def measured(path, **settings):
    """Decode in a child process; returns the code and the megabytes its peak grew by."""
    arguments = [sys.executable, "-c", MEASURE, str(path), repr(settings)]
    run = subprocess.run(arguments, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    code, grown_mb, _ = run.stdout.split()
    return code, int(grown_mb)


def webp_header(side):
    """A real small WebP whose extended header claims a canvas of side x side."""
    frame = encoded(Image.new("RGBA", (64, 64), (9, 9, 9, 99)), "WEBP", lossless=True)[12:]
    canvas = (side - 1).to_bytes(3, "little") * 2
    body = b"WEBP" + b"VP8X" + struct.pack("<I", 10) + b"\x12\0\0\0" + canvas
    body += b"ANIM" + struct.pack("<IIH", 6, 0, 0)
    head = b"\0" * 6 + (63).to_bytes(3, "little") * 2 + (100).to_bytes(3, "little") + b"\0"
    body += b"ANMF" + struct.pack("<I", len(head) + len(frame)) + head + frame
    return b"RIFF" + struct.pack("<I", len(body)) + body


BEGINNINGS = {
    b"GIF87a": "this is GIF", b"GIF89a": "this is GIF", b"MM\0*": "this is TIFF", b"II+\0": "BigTIFF",
    b"MM\0+": "BigTIFF",
    b"\0\0\0\x0cJXL ": "JPEG XL", b"\xff\x0a": "JPEG XL", b"8BPS": "a Photoshop file", b"%PDF-": "a PDF",
    b"\0\0\1\0": "an icon",
}  # fmt: skip
BRANDS = {
    b"heix": "HEIC", b"heim": "HEIC", b"heis": "HEIC", b"hevc": "a HEIC sequence", b"hevx": "a HEIC sequence",
    b"mif1": "this is HEIF", b"msf1": "a HEIF sequence", b"qt  ": "QuickTime", b"mp41": "MP4", b"mp42": "MP4",
    b"jxlx": "without a photo of a known format",
}  # fmt: skip


def boxed(brand, *others):
    """The first box of the ISO container that HEIC and AVIF share."""
    body = b"ftyp" + brand + b"\0\0\0\0" + b"".join(others)
    return struct.pack(">I", 4 + len(body)) + body + bytes(200)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (boxed(b"heic", b"mif1", b"heic"), "HEIC, as iPhones write it"),
        (boxed(b"mif1", b"mif1", b"heic"), "HEIC, as iPhones write it"),
        (boxed(b"crx ", b"isom"), "Canon's raw"),
        (boxed(b"isom"), "an MP4 video"),
        (encoded(picture(), "GIF"), "this is GIF"),
        (encoded(picture(), "TIFF"), "this is TIFF"),
        (encoded(picture(), "BMP"), "this is BMP"),
        (encoded(picture(), "JPEG2000"), "this is JPEG 2000"),
        (encoded(picture(), "JPEG2000", no_jp2=True), "this is JPEG 2000"),
        *((beginning + bytes(100), name) for beginning, name in BEGINNINGS.items()),
        *((boxed(brand), name) for brand, name in BRANDS.items()),
    ],
)
def test_a_format_that_is_not_read_is_named(data, name):
    with pytest.raises(RowError) as caught:
        decode(data, CONFIG)
    assert caught.value.code == Code.IMAGE_FORMAT
    assert name in caught.value.detail
    assert "JPEG, PNG, WebP and AVIF are read" in caught.value.detail


needs_avif = pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")


@needs_avif
@pytest.mark.parametrize("turn", [1, 3, 6, 8])
def test_an_avif_is_read_upright(turn):
    undo = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    stored = picture() if turn == 1 else picture().transpose(undo[turn])
    exif = Image.Exif()
    exif[0x0112] = turn
    photo = decode(encoded(stored, "AVIF", quality=95, exif=exif), CONFIG)
    assert photo.rgb.shape == (160, 120, 3)
    assert np.abs(corners(photo.rgb) - QUARTERS).max() <= 12


@needs_avif
def test_an_avifs_damage_and_movement_are_refused():
    whole = encoded(picture(), "AVIF")
    assert code_of(whole[:200]) == code_of(whole[: len(whole) // 2]) == Code.IMAGE_CORRUPT
    assert code_of(animated("AVIF")) == Code.IMAGE_FORMAT
    assert code_of(encoded(Image.new("L", (8001, 8000)), "AVIF", speed=10)) == Code.IMAGE_TOO_LARGE
