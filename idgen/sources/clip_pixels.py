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
    """Return the picture in a white square with its longer edge at size_px already.

    That edge is resized first because the white does not touch it: the whole square around a strip of 32,768 pixels
    would be 3 GB.
    """
    width, height = image.size
    if width > height:
        square, at = (size_px, width), (0, (width - height) // 2)
        image = image.resize((size_px, height), _BICUBIC)
    else:
        square, at = (height, size_px), ((height - width) // 2, 0)
        image = image.resize((width, size_px), _BICUBIC)
    padded = Image.new("RGB", square, "white")
    padded.paste(image, at)
    return padded
