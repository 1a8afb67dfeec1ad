"""The geometry of the face pass: which square is sampled again, and how much of it comes into the picture."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from idgen.sampling.pasting import paste_back

SOFT_FRACTION = 0.25
"""Width of the fading edge around the face's box, in longer sides of it. Ours."""
BORDER_FRACTION = 0.125
"""Of the square's side: where the picture goes on, it fades towards its border too, which the box may reach. Ours."""

Pixels = NDArray[np.uint8]
Box = Sequence[float] | NDArray[np.floating]
"""Left, top, right, bottom in pixels; may reach beyond the picture."""


@dataclass(frozen=True, slots=True)
class Square:
    """A square of whole pixels inside a picture."""

    left: int
    top: int
    side: int

    def cut(self, picture: Pixels, side_px: int) -> Pixels:
        """Return the square of `picture` [H, W, 3] as uint8 [side_px, side_px, 3], Lanczos."""
        return _resized(self._of(picture), side_px)

    def points(self, keypoints: NDArray[np.floating], side_px: int) -> NDArray[np.float64]:
        """Return points [n, 2] of the picture as they lie in `cut`."""
        return np.asarray((keypoints - np.array([self.left, self.top])) * (side_px / self.side), np.float64)

    def blended(self, picture: Pixels, made: Pixels, mask: Pixels) -> Pixels:
        """Return `picture` with `made` [S, S, 3], brought to the square's size, in it as `mask` [side, side] says."""
        out = picture.copy()
        out[self.top : self.top + self.side, self.left : self.left + self.side] = paste_back(
            _resized(made, self.side), self._of(picture), mask
        )
        return out

    def _of(self, picture: Pixels) -> Pixels:
        return picture[self.top : self.top + self.side, self.left : self.left + self.side]


def longer_side(box: Box) -> float:
    """Return the longer side of a face's box, px."""
    return float(max(box[2] - box[0], box[3] - box[1]))


def around(box: Box, size: tuple[int, int], crop_scale: float) -> Square:
    """Return the square about the middle of `box`, `crop_scale` of its longer sides wide, in a picture of `size`.

    Moved where it would reach beyond the picture, and no wider than the picture's shorter side.
    """
    side = max(1, min(round(crop_scale * longer_side(box)), *size))
    left, top = (
        min(max(round((box[axis] + box[axis + 2] - side) / 2), 0), size[axis] - side) for axis in (0, 1)
    )  # fmt: skip
    return Square(left, top, side)


def soft_mask(box: Box, square: Square, size: tuple[int, int]) -> Pixels:
    """Return uint8 [side, side]: 255 on `box`, falling smoothly to 0 within SOFT_FRACTION of its longer side around it.

    It also falls to 0 at those sides of the square where the picture (of `size`) goes on, so no seam is left there.
    """
    middles = np.arange(square.side) + 0.5
    across = _beyond(middles + square.left, box[0], box[2])
    down = _beyond(middles + square.top, box[1], box[3])
    away = np.hypot(across[None, :], down[:, None])
    weight = _smooth(1 - away / (SOFT_FRACTION * max(longer_side(box), 1.0)))
    border = (_border(square.left, square.side, size[0]), _border(square.top, square.side, size[1]))
    return np.asarray(np.rint(255 * weight * border[0][None, :] * border[1][:, None]), np.uint8)


def _beyond(places: NDArray[np.floating], low: float, high: float) -> NDArray[np.float64]:
    return np.asarray(np.maximum(0.0, np.maximum(low - places, places - high)), np.float64)


def _border(start: int, side: int, length: int) -> NDArray[np.float64]:
    """Weights along one axis: 0 at an end where the picture goes on, 1 in the middle."""
    middles = np.arange(side) + 0.5
    low = middles if start > 0 else np.full(side, np.inf)
    high = side - middles if start + side < length else np.full(side, np.inf)
    return _smooth(np.minimum(low, high) / (BORDER_FRACTION * side))


def _smooth(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """0 below 0, 1 above 1, without a kink between."""
    inside = np.clip(share, 0.0, 1.0)
    return np.asarray(inside * inside * (3 - 2 * inside), np.float64)


def _resized(square: Pixels, side_px: int) -> Pixels:
    return np.asarray(Image.fromarray(square).resize((side_px, side_px), Image.Resampling.LANCZOS), np.uint8)
