"""Pixels as CLIP's image encoders look at them, up to the uint8 stage; the encoder's own side divides and normalises.

Equal to transformers' CLIPImageProcessor with its PIL backend, whatever else is installed (with torchvision
transformers takes another backend, whose numbers differ by a level or more). No torch here.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]

_BICUBIC = Image.Resampling.BICUBIC
_BAND_PX = 512


def prepare(rgb: Pixels, size_px: int, clip_fit: Literal["crop", "squash", "pad"]) -> Pixels:
    """Return `rgb` [H, W, 3] as uint8 [size_px, size_px, 3], bicubic; the order of the channels stays.

    crop: the shorter edge becomes size_px, then the middle is taken, as CLIP's own processor does. squash: both edges
    become size_px. pad: a white square around the whole picture, then squash.
    """
    image = Image.fromarray(rgb)
    if clip_fit == "pad":
        image = _padded(image, size_px)
    elif clip_fit == "crop":
        image = _cropped(image, size_px)
    return np.asarray(image.resize((size_px, size_px), _BICUBIC), dtype=np.uint8)


def _cropped(image: Image.Image, size_px: int) -> Image.Image:
    width, height = image.size
    if width <= height:
        resized = image.resize((size_px, int(size_px * height / width)), _BICUBIC)
    else:
        resized = image.resize((int(size_px * width / height), size_px), _BICUBIC)
    left, top = (resized.width - size_px) // 2, (resized.height - size_px) // 2
    return resized.crop((left, top, left + size_px, top + size_px))


def _padded(image: Image.Image, size_px: int) -> Image.Image:
    """Return the picture in a white square whose width is size_px already.

    Pillow resizes across first and each row by itself, so bands of rows give what the whole square would, which
    around a strip of 32,768 pixels takes 3 GB.
    """
    width, height = image.size
    side = max(width, height)
    left, top = (side - width) // 2, (side - height) // 2
    narrow = Image.new("RGB", (size_px, side), "white")
    for row in range(0, height, _BAND_PX):
        band = image.crop((0, row, width, min(row + _BAND_PX, height)))
        wide = Image.new("RGB", (side, band.height), "white")
        wide.paste(band, (left, 0))
        narrow.paste(wide.resize((size_px, band.height), _BICUBIC), (0, top + row))
    return narrow
