"""Whether a colour profile says sRGB: by what it does to colours, not by its name.

Android's wide-gamut profiles are named "... with sRGB Transfer", and monitors' calibrations are named as one likes.
"""

import io

import numpy as np
from PIL import Image, ImageChops, ImageCms

MAX_PROFILE_BYTES = 4 * 2**20
TOLERANCE = 2
"""Of 255: two makers' sRGB profiles differ by rounding alone. Display P3 moves colours by up to 100."""
_LEVELS = (0, 16, 32, 64, 96, 128, 160, 192, 224, 255)
"""Denser in the shadows, where curves differ most."""


def to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Return `image` in sRGB, mode RGB: converted from `profile`, or its own numbers where that is sRGB.

    Raises ValueError, OSError or ImageCms.PyCMSError for a profile that cannot be read or is of another mode.
    """
    if len(profile) > MAX_PROFILE_BYTES:
        raise ValueError("profile too large")
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    image = _in_channels_of(profile, image)
    transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), image.mode, "RGB")
    if image.mode == "RGB" and _changes_nothing(transform):
        return image  # leave the numbers as they are
    converted = ImageCms.applyTransform(image, transform)
    if converted is None:
        raise ValueError("nothing was converted")
    return converted


def _in_channels_of(profile: bytes, image: Image.Image) -> Image.Image:
    """Return a grey image with the channels that its profile speaks of: black and white photos often keep a colour one.

    Pillow has no grey with transparency once that is flattened, and gives grey AVIFs in three channels.
    """
    space = profile[16:20]
    if space == b"RGB " and image.mode == "L":
        return image.convert("RGB")
    if space == b"GRAY" and image.mode == "RGB":
        red, green, blue = image.split()
        if ImageChops.difference(red, green).getbbox() is None and ImageChops.difference(red, blue).getbbox() is None:
            return red
    return image


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    """Try the transform on a grid of colours."""
    grid = np.stack(np.meshgrid(_LEVELS, _LEVELS, _LEVELS), axis=-1).astype(np.uint8).reshape(1, -1, 3)
    moved = ImageCms.applyTransform(Image.fromarray(grid), transform)
    return moved is not None and int(np.abs(np.asarray(moved, int) - grid).max()) <= TOLERANCE
