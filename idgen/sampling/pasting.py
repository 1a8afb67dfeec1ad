"""Joins two pictures by a mask: the kept part of a photo into an inpainting, a face into its picture."""

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


def paste_back(picture: Pixels, init_image: Pixels, mask: Pixels) -> Pixels:
    """Return uint8 [H, W, 3]: `init_image` where `mask` [H, W] is 0, `picture` where it is 255, both bit by bit.

    Grey is the weight of `picture` in 255ths, of the values as they are stored (as the inpaint card's add_fg),
    rounded to the nearest, in whole numbers. ValueError when the three are not of one size.
    """
    if picture.shape != init_image.shape or picture.shape[:2] != mask.shape:
        raise ValueError(f"picture {picture.shape}, init image {init_image.shape}, mask {mask.shape}")
    weight = mask[..., None].astype(np.uint16)
    # at most 255 * 255 + 127, which uint16 holds; 255 is odd, so nothing lies in the middle of two values
    blended = weight * picture + (255 - weight) * init_image
    return np.asarray((blended + 127) // 255, np.uint8)
