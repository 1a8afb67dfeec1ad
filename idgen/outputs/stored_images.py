"""Images under their keys: what lies in images/ is not written over by other bytes silently.

A picture that is made again (forced, or after a crash) usually has the same pixels, but other bytes: its metadata name
the run. Then the image that is there stays. Where pixels differ the new image takes its place, and a warning says so.
"""

import hashlib
import io

import numpy as np
from PIL import Image

from idgen.outputs.encode import Encoded
from idgen.stores.protocol import ObjectExists, ObjectMissing, ObjectStore

IMAGE_REPLACED = "image_replaced"
"""Code of the warning of a picture whose key had an image with other pixels before."""
_DIGITS = 12


def put_image(store: ObjectStore, path: str, image: Encoded) -> tuple[bytes, str]:
    """Store an image; return the bytes that are stored now and a warning, "" without one. Raises StoreError."""
    try:
        store.put(path, image.data, content_type=image.content_type, if_absent=True)
        return image.data, ""
    except ObjectExists:
        pass
    try:
        before = store.get(path)
    except ObjectMissing:  # somebody deleted it this moment
        before = b""
    if before and _have_equal_pixels(before, image.data):
        return before, ""
    store.put(path, image.data, content_type=image.content_type)
    if not before:
        return image.data, ""
    old, new = (hashlib.sha256(data).hexdigest()[:_DIGITS] for data in (before, image.data))
    return image.data, f"{IMAGE_REPLACED}: this key had an image with other pixels (sha256 {old}…, now {new}…)"


def _have_equal_pixels(before: bytes, now: bytes) -> bool:
    try:
        with Image.open(io.BytesIO(before)) as old, Image.open(io.BytesIO(now)) as new:
            same_kind = (old.size, old.mode) == (new.size, new.mode)
            return same_kind and np.array_equal(np.asarray(old), np.asarray(new))
    except Exception:  # a damaged file raises anything
        return False
