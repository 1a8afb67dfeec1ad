"""A JPEG that is small and right, and takes its decoder long."""

import io

import numpy as np
from PIL import Image


def scans_photo(scans: int, side_px: int = 1024) -> bytes:
    """Return a progressive JPEG whose last scan is there so many times: each is worked through."""
    out = io.BytesIO()
    pixels = np.random.default_rng(1).integers(0, 256, (side_px // 8, side_px // 8, 3), np.uint8)
    Image.fromarray(pixels).resize((side_px, side_px)).save(out, "JPEG", progressive=True, quality=50)
    data = out.getvalue()
    last = data.rindex(b"\xff\xda")  # start of scan
    return data[:-2] + data[last:-2] * (scans - 1) + data[-2:]
