"""Small copies of finished pictures for galleries: thumbs/<ab>/<key>.webp, beside images/, once per key.

The publishers write them in the run, where the pixels are in hand; a gallery then reads no full picture. A thumbnail is
an extra: whatever goes wrong with one costs only it.
"""

import io
import logging
import re

from PIL import Image

from idgen.checks.picture import Pixels
from idgen.stores.protocol import ObjectStore, StoreError

ROOT = "thumbs"
CONTENT_TYPE = "image/webp"

_KEY = re.compile(r"[0-9a-f]{16,64}")
_QUALITY = 80
_METHOD = 2  # of WebP's effort 0 to 6: 8 ms of a 1024 px picture, resizing included; 6 takes 22 for 5 % fewer bytes

log = logging.getLogger(__name__)


def thumbnail_path(key: str) -> str:
    """Return where a picture's thumbnail stands in the store, "" for a key that is no file name."""
    return f"{ROOT}/{key[:2]}/{key}.webp" if _KEY.fullmatch(key) else ""


def encode_thumbnail(image: Image.Image, side_px: int) -> bytes:
    """Return a WebP at most `side_px` wide and half as much again high, without any metadata of the source."""
    small = image.convert("RGB")
    small.thumbnail((side_px, side_px * 3 // 2), Image.Resampling.LANCZOS, reducing_gap=2.0)
    clean = Image.new("RGB", small.size)
    clean.paste(small)
    out = io.BytesIO()
    clean.save(out, "WEBP", quality=_QUALITY, method=_METHOD)
    return out.getvalue()


def write_thumbnail(store: ObjectStore, key: str, pixels: Pixels, side_px: int, *, replaced: bool = False) -> None:
    """Write the thumbnail of a finished picture, uint8 [H, W, 3]; 0 px writes none. Never raises.

    `replaced`: the key had other pixels before, so a thumbnail that cannot be written anew is removed.
    """
    path = thumbnail_path(key)
    if not path or (side_px <= 0 and not replaced):
        return
    try:
        if side_px > 0:
            store.put(path, encode_thumbnail(Image.fromarray(pixels), side_px), content_type=CONTENT_TYPE)
            return
    except Exception as error:  # the report makes what is missing
        log.warning("no thumbnail of %s yet: %s", key, type(error).__name__)
    if replaced:
        _remove(store, path)


def _remove(store: ObjectStore, path: str) -> None:
    try:
        store.delete([path])
    except StoreError as error:
        log.warning("%s shows a picture that was replaced: %s", path, error)
