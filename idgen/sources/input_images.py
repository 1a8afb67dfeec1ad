"""Input images (the one to start from, its mask, control maps) at the size of the picture that is made."""

import io

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

Pixels = npt.NDArray[np.uint8]

WARN_ENLARGED = 1.5  # how much a pixel may be stretched, and which share may be cut off, without a warning
WARN_CUT = 0.1
MASK_NOISE = 8
"""So near to black or white a mask is meant to be it: a JPEG's noise, the 253 of a cut-out that should be opaque."""


def cover(rgb: Pixels, width: int, height: int) -> Pixels:
    """Return the middle of `rgb` [H, W, 3] as uint8 [height, width, 3]: as large as fits, never squashed, Lanczos.

    A picture of that size already comes back bit by bit.
    """
    fitted = ImageOps.fit(Image.fromarray(rgb), (width, height), Image.Resampling.LANCZOS, centering=(0.5, 0.5))
    return np.asarray(fitted, dtype=np.uint8)


def cover_cut_out(rgb: Pixels, alpha: Pixels, width: int, height: int) -> Pixels:
    """Return `cover` of a cut-out that `rgb` shows on white, but in its own colours where `alpha` [H, W] is above 0.

    The white is taken out of half transparent edges again: what they are mixed with is decided where they are pasted,
    and white in them would be a line around the product.
    """
    white = (255 - alpha)[..., None]
    weighted = np.empty((*alpha.shape, 4), np.uint8)  # colours times alpha, as resizing needs them
    colors = weighted[..., :3]
    np.subtract(np.maximum(rgb, white, out=colors), white, out=colors)
    weighted[..., 3] = alpha
    layered = Image.frombuffer("RGBa", alpha.shape[::-1], weighted, "raw", "RGBa", 0, 1)
    sharp, soft = (
        np.asarray(ImageOps.fit(layered, (width, height), how, centering=(0.5, 0.5)).convert("RGBA"))
        for how in (Image.Resampling.LANCZOS, Image.Resampling.BILINEAR)
    )
    # where little of the product is left, bilinear as its mask: Lanczos may have nothing where the mask has something
    pixels = np.where(sharp[..., 3:] > 127, sharp, soft)
    return np.where(pixels[..., 3:] > 0, pixels[..., :3], np.uint8(255))


def cover_mask(grey: Pixels, width: int, height: int) -> Pixels:
    """Return the middle of the mask `grey` [H, W] as uint8 [height, width], cut as `cover` cuts its picture.

    Bilinear: Lanczos rings, and would leave a trace of an edge on pixels that are to stay as they are. Values within
    MASK_NOISE of black or white become it.
    """
    steady = np.where(grey < MASK_NOISE, 0, np.where(grey > 255 - MASK_NOISE, 255, grey)).astype(np.uint8)
    size = (width, height)
    fitted = ImageOps.fit(Image.fromarray(steady), size, Image.Resampling.BILINEAR, centering=(0.5, 0.5))
    return np.asarray(fitted, dtype=np.uint8)


def same_shape(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Return whether one picture may be the other one resized: equal shapes, but for rounding to whole pixels."""
    (width, height), (other_width, other_height) = size, other
    return abs(width * other_height - height * other_width) <= max(*size, *other)


def cover_notes(size: tuple[int, int], width: int, height: int) -> list[str]:
    """Return the warnings for `cover` of a picture of `size` (width, height): stretched far, or much cut off."""
    across, down = width / size[0], height / size[1]
    cut = 1 - min(across, down) / max(across, down)
    notes = []
    if max(across, down) > WARN_ENLARGED:
        notes.append(f"enlarged: {max(across, down):.1f} times to cover {width}x{height} px")
    if cut > WARN_CUT:
        notes.append(f"cut: {cut:.0%} of its {size[0]}x{size[1]} px lie outside {width}x{height} px")
    return notes


def png(pixels: Pixels) -> bytes:
    """Return `pixels` [H, W, 3] or [H, W] as a PNG without metadata, packed quickly rather than tightly."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()
