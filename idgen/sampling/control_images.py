"""The control image of a row: a ready-made map, the face's five points, or the picture with a hole.

Tensors from here on: the hole is -1, which no PNG holds and which diffusers' image processors leave alone in tensors.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from idgen.sampling.controls import INPAINT
from idgen.sampling.rows import SampleRow

HOLE = -1.0
"""In all three channels (alimama-creative/EcomXL_controlnet_inpaint's card)."""
ANEW = 0.5
"""Share of white above which a mask's pixel is repainted, as on that card."""


def control_image(name: str, row: SampleRow) -> Tensor:
    """Return what control `name` is shown of `row`, float32 [3, H, W] in 0..1, and HOLE where inpaint repaints.

    Raises ValueError when the row has no image for it.
    """
    if name == INPAINT:
        if row.init_image is None:
            raise ValueError(f"control {name} needs an init_image")
        return inpaint_image(row.init_image, row.mask)
    if name not in row.control_images:
        raise ValueError(f"control {name} has no image, there are {list(row.control_images)}")
    return _unit(row.control_images[name])


def inpaint_image(image: NDArray[np.uint8], mask: NDArray[np.uint8] | None) -> Tensor:
    """Return `image` [H, W, 3] as float32 [3, H, W] in 0..1, HOLE where `mask` [H, W] is white; None keeps it whole."""
    shown = _unit(image)
    if mask is None:
        return shown
    return shown.masked_fill(torch.from_numpy(mask.copy()).float() / 255 > ANEW, HOLE)


def _unit(image: NDArray[np.uint8]) -> Tensor:
    """uint8 [H, W, 3] -> float32 [3, H, W]."""
    return torch.from_numpy(image.copy()).permute(2, 0, 1).float() / 255
