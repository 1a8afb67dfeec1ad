"""From pixels to the bytes of a file: tagged sRGB, with our provenance and no other metadata.

Equal pixels and equal provenance give equal bytes (of one version of Pillow).
"""

import io
import struct
from functools import cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, PngImagePlugin

Format = Literal["png", "jpeg", "webp"]

_PNG_RELATIVE_COLORIMETRIC = b"\x01"


class Encoded(NamedTuple):
    """A file: its bytes, its ending without a dot, its media type."""

    data: bytes
    extension: str
    content_type: str


def encode_image(rgb: NDArray[np.uint8], image_format: Format, quality: int, provenance: bytes) -> Encoded:
    """Return the file of uint8 [H, W, 3] sRGB pixels; `provenance` is an XMP packet, or empty for none.

    png: lossless, compression level 1. jpeg: 4:4:4 at `quality`. webp: lossy at `quality`, fastest method.
    Raises ValueError for another shape, type or format.
    """
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or 0 in rgb.shape:
        raise ValueError(f"not uint8 [H, W, 3]: {rgb.dtype} {rgb.shape}")
    if image_format not in _KINDS:
        raise ValueError(f"no such format: {image_format}")
    extension, content_type = _KINDS[image_format]
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, image_format.upper(), **_options(image_format, quality, provenance))
    return Encoded(file.getvalue(), extension, content_type)


_KINDS = {"png": ("png", "image/png"), "jpeg": ("jpg", "image/jpeg"), "webp": ("webp", "image/webp")}


def _options(image_format: Format, quality: int, provenance: bytes) -> dict[str, object]:
    if image_format == "png":
        chunks = PngImagePlugin.PngInfo()
        chunks.add(b"sRGB", _PNG_RELATIVE_COLORIMETRIC)  # 13 bytes; iCCP would take 400
        if provenance:
            chunks.add_itxt("XML:com.adobe.xmp", provenance.decode())
        return {"compress_level": 1, "pnginfo": chunks}
    tags = {"icc_profile": srgb_profile(), "quality": quality} | ({"xmp": provenance} if provenance else {})
    return tags | ({"subsampling": 0} if image_format == "jpeg" else {"method": 0})


@cache
def srgb_profile() -> bytes:
    """Return an ICC profile of sRGB. Its date of creation is set to a fixed one: lcms writes the present second."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile[:24] + struct.pack(">6H", 2000, 1, 1, 0, 0, 0) + profile[36:]
