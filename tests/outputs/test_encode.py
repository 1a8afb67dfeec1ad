"""Files: pixels kept, colour tagged, our provenance inside and nothing else."""

import io
import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from doubles.pictures import SIGNATURES, picture, pixels
from PIL import Image, ImageCms

from idgen.outputs.encode import encode_image, srgb_profile
from idgen.outputs.ledger_row import asked_columns
from idgen.outputs.provenance import COMPOSITE_SOURCE_TYPE, DIGITAL_SOURCE_TYPE, MAX_PACKET_BYTES, xmp_packet

FORMATS = ("png", "jpeg", "webp")
NASTY = "<b>\"a\" & 'b'</b> ]]> \x00\x07 é 人 \ud800 {0} \ufffe"


def read_xmp(packet: bytes) -> dict[str, str]:
    properties = ET.fromstring(packet.decode().strip("\ufeff"))[0][0]
    return {element.tag.rpartition("}")[2]: element.text or "" for element in properties}


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


@pytest.mark.parametrize("image_format", FORMATS)
def test_provenance_is_readable_back(image_format):
    asked = asked_columns(picture(1, prompt=NASTY), SIGNATURES)
    data = encode_image(pixels(1), image_format, 92, xmp_packet(asked, "run-7", "public")).data
    found = read_xmp(opened(data).info["xmp"])
    assert found == {
        "DigitalSourceType": DIGITAL_SOURCE_TYPE,
        "CreatorTool": "idgen 0.1.0",
        "key": asked["key"],
        "run": "run-7",
    }
    assert b"picture" not in data


@pytest.mark.parametrize("level", ["public", "full"])
@pytest.mark.parametrize(
    ("paste_back", "kind"), [(True, "compositeWithTrainedAlgorithmicMedia"), (False, "trainedAlgorithmicMedia")]
)
def test_a_picture_with_a_photo_s_pixels_says_that_it_is_a_composite(level, paste_back, kind):
    asked = asked_columns(picture(1, init_image_uri="s3://photos/bag.png", paste_back=paste_back), SIGNATURES)
    found = read_xmp(xmp_packet(asked, "run-7", level))
    assert found["DigitalSourceType"] == f"http://cv.iptc.org/newscodes/digitalsourcetype/{kind}"
    assert (found["DigitalSourceType"] == COMPOSITE_SOURCE_TYPE) == paste_back


@pytest.mark.parametrize("image_format", FORMATS)
def test_full_adds_prompt_seed_and_settings(image_format):
    asked = asked_columns(picture(1, prompt=NASTY), SIGNATURES)
    data = encode_image(pixels(1), image_format, 92, xmp_packet(asked, "run-7", "full")).data
    found = read_xmp(opened(data).info["xmp"])
    assert found["prompt"] == NASTY.translate(dict.fromkeys(map(ord, "\x00\x07\ud800\ufffe"), "\ufffd"))
    assert found["seed"] == "1"
    assert '"ip_adapter_scale": 0.8' in found["settings"]
    assert '"width": 32' in found["settings"]


@pytest.mark.parametrize("image_format", FORMATS)
def test_none_leaves_only_the_colour_tag(image_format):
    data = encode_image(pixels(1), image_format, 92, xmp_packet({}, "run", "none")).data
    assert b"xmp" not in data.lower()
    assert opened(data).info.keys() <= {
        "srgb", "icc_profile", "jfif", "jfif_version", "jfif_unit", "jfif_density", "loop", "background", "timestamp",
        "duration",
    }  # fmt: skip


@pytest.mark.parametrize("prompt", ["人" * 30_000, "&" * 30_000])
def test_a_prompt_too_long_for_a_jpeg_is_left_out(prompt):
    packet = xmp_packet(asked_columns(picture(1, prompt=prompt), SIGNATURES), "run", "full")
    assert len(packet) < MAX_PACKET_BYTES
    assert "prompt" not in read_xmp(packet)
    encode_image(pixels(1), "jpeg", 92, packet)


def test_png_pixels_are_equal():
    for number, (width, height) in enumerate([(1, 1), (32, 48), (127, 3)]):
        rgb = pixels(number, width, height)
        assert np.array_equal(np.asarray(opened(encode_image(rgb, "png", 92, b"").data)), rgb)


@pytest.mark.parametrize("image_format", ["jpeg", "webp"])
def test_lossy_formats_are_close_and_obey_quality(image_format):
    ramp = np.linspace(0, 255, 64, dtype=np.uint8)
    rgb = np.stack(np.broadcast_arrays(ramp[:, None], ramp[None, :], np.uint8(128)), axis=-1)
    good = encode_image(rgb, image_format, 95, b"").data
    assert np.abs(np.asarray(opened(good), int) - rgb).mean() < 3
    assert len(encode_image(rgb, image_format, 30, b"").data) < len(good)


def test_jpeg_keeps_full_colour_resolution():
    from PIL import JpegImagePlugin

    assert JpegImagePlugin.get_sampling(opened(encode_image(pixels(1), "jpeg", 92, b"").data)) == 0


def test_every_file_says_srgb():
    assert opened(encode_image(pixels(1), "png", 92, b"").data).info["srgb"] == 1
    for image_format in ("jpeg", "webp"):
        profile = opened(encode_image(pixels(1), image_format, 92, b"").data).info["icc_profile"]
        assert ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile))).startswith("sRGB")
        assert profile == srgb_profile()


def test_equal_input_gives_equal_bytes_in_another_process():
    code = """
import hashlib, sys
sys.path.insert(0, 'tests')
from doubles.pictures import *
from idgen.outputs.encode import encode_image
from idgen.outputs.ledger_row import asked_columns
from idgen.outputs.provenance import xmp_packet
packet = xmp_packet(asked_columns(picture(1), SIGNATURES), 'run', 'full')
print([hashlib.sha256(encode_image(pixels(1), name, 92, packet).data).hexdigest() for name in ('png', 'jpeg', 'webp')])
"""
    first, second = (subprocess.run([sys.executable, "-c", code], capture_output=True, check=True) for _ in range(2))
    assert first.stdout == second.stdout
    assert first.stdout


@pytest.mark.parametrize("rgb", [pixels(1).astype(float), pixels(1)[..., 0], pixels(1)[:0], pixels(1)[..., :2]])
def test_what_is_no_picture_is_refused(rgb):
    with pytest.raises(ValueError, match="not uint8"):
        encode_image(rgb, "png", 92, b"")
