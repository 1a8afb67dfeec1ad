"""From a file's bytes to upright sRGB pixels, or to a code.

The header is judged before a pixel is decoded: a 20 kB PNG can hold 169 megapixels. No metadata leave this room.
"""

import io
import logging
import struct
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError, features

from idgen.config import SourcesConfig
from idgen.errors import Code, RowError
from idgen.sources.colour_codes import UnknownColoursError, profile_in_numbers
from idgen.sources.colours import to_srgb
from idgen.sources.damaged_photos import mended
from idgen.sources.formats import is_avif, named

logger = logging.getLogger(__name__)

FORMATS = ("JPEG", "PNG", "WEBP", *(("AVIF",) if features.check("avif") else ()))
"""AVIF where this Pillow has it."""
MAX_SIDE_PX = 32_768
_OPENED_AS = {*FORMATS, "MPO"}  # MPO: a phone's JPEG with a depth or gain map behind it; its first frame is the photo
_MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")
# what Pillow raises on damaged files
_DAMAGE = (
    OSError, ValueError, SyntaxError, LookupError, TypeError, ArithmeticError, EOFError, AssertionError, struct.error,
)  # fmt: skip

Pixels = npt.NDArray[np.uint8]
Ground = Literal["white", "black"]
"""What shows where a picture is transparent: white in photos, black in masks and control maps, where it is nothing."""


@dataclass(frozen=True, slots=True)
class Photo:
    """An upright photo."""

    rgb: Pixels  # [height, width, 3], sRGB
    warnings: tuple[str, ...]
    alpha: Pixels | None = None  # [height, width], 255 = opaque; None where nothing is transparent


def decode(data: bytes, config: SourcesConfig, ground: Ground = "white") -> Photo:
    """Return the picture in `data`, turned upright by its EXIF, in sRGB, 8 bit, transparency on `ground`.

    Handles CMYK, grey, palette and 16-bit files. Raises RowError: image_format (not a still JPEG, PNG, WebP or AVIF),
    image_corrupt, image_too_large, image_too_small.
    """
    try:
        return _decoded(data, config, ground)
    except RowError as error:
        if error.code != Code.IMAGE_CORRUPT:
            raise
        better = mended(data, lambda copy: _decoded(copy, config, ground).rgb)
        if better is None:
            raise
    photo = _decoded(better.data, config, ground)
    return replace(photo, warnings=(better.warning, *photo.warnings))


def _decoded(data: bytes, config: SourcesConfig, ground: Ground) -> Photo:
    image = _opened(data, config)
    _check_size(image, config)
    warnings: list[str] = []
    try:
        image.load()
        _find_profile(image, data, warnings)
        _turn_upright(image, warnings)
        flat, alpha = _flattened(_eight_bit(image), ground, warnings)
        image = _srgb(flat, warnings)
    except (*_DAMAGE, Image.DecompressionBombError) as error:
        raise RowError(Code.IMAGE_CORRUPT, _reason(error)) from None
    if min(image.size) < config.warn_side_px:
        warnings.append(f"small_photo: {image.width}x{image.height} px, better {config.warn_side_px} or more")
    return Photo(np.asarray(image, dtype=np.uint8), tuple(warnings), alpha)


def _opened(data: bytes, config: SourcesConfig) -> Image.Image:
    """Read the header alone."""
    if not data:
        raise RowError(Code.IMAGE_CORRUPT, "the file is empty")
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        frames = 1 if image.format == "MPO" else int(getattr(image, "n_frames", 1))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise RowError(Code.IMAGE_TOO_LARGE, f"far more than {config.max_pixels} pixels") from None
    except UnidentifiedImageError:
        known = data.startswith(_MAGIC) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")
        known = known or ("AVIF" in FORMATS and is_avif(data))
        if known:
            raise RowError(Code.IMAGE_CORRUPT, "the header is damaged") from None
        raise RowError(Code.IMAGE_FORMAT, named(data)) from None
    except _DAMAGE as error:
        raise RowError(Code.IMAGE_CORRUPT, _reason(error)) from None
    if image.format not in _OPENED_AS:
        raise RowError(Code.IMAGE_FORMAT, f"{image.format} is not supported")
    if frames != 1:
        raise RowError(Code.IMAGE_FORMAT, f"an animation of {frames} frames")
    return image


def _check_size(image: Image.Image, config: SourcesConfig) -> None:
    width, height = image.size
    if width * height > config.max_pixels or max(width, height) > MAX_SIDE_PX:
        raise RowError(Code.IMAGE_TOO_LARGE, f"{width}x{height}, allowed are {config.max_pixels} pixels")
    if min(width, height) < config.min_side_px:
        raise RowError(Code.IMAGE_TOO_SMALL, f"{width}x{height}, each side must have at least {config.min_side_px} px")


def _find_profile(image: Image.Image, data: bytes, warnings: list[str]) -> None:
    """Put the profile into `info` that the file's numbers mean, if they mean one."""
    try:
        image.info["icc_profile"] = profile_in_numbers(data, image.info.get("icc_profile"))
    except UnknownColoursError as error:
        logger.debug("colours ignored: %s", error)
        warnings.append("profile_ignored: colours may be off (HDR)")


def _turn_upright(image: Image.Image, warnings: list[str]) -> None:
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except Exception as error:  # EXIF is read by many hands and broken in many ways; the pixels are fine
        logger.debug("EXIF ignored: %s", type(error).__name__)
        warnings.append("exif_ignored: it is damaged, so the photo may lie on its side")


def _eight_bit(image: Image.Image) -> Image.Image:
    """Return the image in 8 bits a channel: of 16 the upper ones, as Pillow itself does with colour; it clips grey."""
    if image.mode.startswith("I"):
        grey = np.asarray(image)
        wide = grey.clip(0, 65535).astype(np.uint16) if image.mode == "I" else grey
        upper = np.empty(grey.shape, np.uint8)
        np.right_shift(wide, 8, out=upper, casting="unsafe")  # no copy between: 64 megapixels are large enough
        converted = Image.fromarray(upper)
    elif image.mode == "1":
        converted = image.convert("L")
    else:
        return image
    converted.info = dict(image.info)
    return converted


def _flattened(image: Image.Image, ground: Ground, warnings: list[str]) -> tuple[Image.Image, Pixels | None]:
    """Return the image without palette and transparency, in the colours of its own profile, and Photo.alpha."""
    profile = image.info.get("icc_profile")
    alpha: Pixels | None = None
    if image.has_transparency_data:
        layered = image.convert("RGBA")
        flat = Image.new("RGB", image.size, ground)
        flat.paste(layered, mask=layered.getchannel("A"))
        if layered.getchannel("A").getextrema()[0] != 255:
            alpha = np.asarray(layered.getchannel("A"), dtype=np.uint8)
            warnings.append(f"transparency: shown on {ground}")
    elif image.mode in ("P", "PA", "LA", "La", "RGBA", "RGBX", "RGBa"):
        flat = image.convert("RGB")
    else:
        flat = image
    if profile is not None:
        flat.info["icc_profile"] = profile
    return flat, alpha


def _srgb(image: Image.Image, warnings: list[str]) -> Image.Image:
    """Return the image in sRGB; without a profile its numbers are taken for sRGB, a broken profile is ignored."""
    profile = image.info.get("icc_profile")
    if profile:
        try:
            return to_srgb(image, profile)
        except (*_DAMAGE, ImageCms.PyCMSError) as error:
            logger.debug("ICC profile ignored: %s", type(error).__name__)
            warnings.append("profile_ignored: colours may be off")
    if image.mode == "CMYK" and not profile:
        warnings.append("cmyk_without_profile: colours may be off")
    return image if image.mode == "RGB" else image.convert("RGB")


def _reason(error: BaseException) -> str:
    """Return Pillow's sentence, which speaks of the file's structure and never holds its text."""
    return f"{type(error).__name__}: {error}"[:120] if isinstance(error, (OSError, SyntaxError)) else "damaged"
