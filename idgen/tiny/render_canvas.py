"""Curves and the supersampled sheet that drawings are made on."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from idgen.tiny.people import RGB

Points = NDArray[np.float32]  # [n, 2], x and y
_SUBPIXEL_BITS = 4


@dataclass(frozen=True, slots=True)
class Frame:
    """Where drawing units lie on a sheet: a turn by `roll` radians, `scale` pixels per unit, then a shift."""

    centre_x: float
    centre_y: float
    scale: float
    roll: float = 0.0

    def to_px(self, points: ArrayLike) -> Points:
        """Points [n, 2] in units to pixels of the finished picture."""
        cos, sin = math.cos(self.roll) * self.scale, math.sin(self.roll) * self.scale
        x, y = np.asarray(points, np.float32).reshape(-1, 2).T
        placed = (x * cos - y * sin + self.centre_x, x * sin + y * cos + self.centre_y)
        return np.stack(placed, axis=1).astype(np.float32)


class Sheet:
    """A picture drawn `factor` times too large and averaged down at the end: smooth edges for everything."""

    def __init__(self, width_px: int, height_px: int) -> None:
        self.width_px, self.height_px = width_px, height_px
        self.factor = 3 if max(width_px, height_px) <= 384 else 2
        self.pixels = np.zeros((height_px * self.factor, width_px * self.factor, 3), np.uint8)

    def fill(self, frame: Frame, points: ArrayLike, colour: RGB) -> None:
        """Fill a polygon [n, 2] given in the frame's units."""
        cv2.fillPoly(self.pixels, [self._fixed(frame, points)], colour, lineType=cv2.LINE_8, shift=_SUBPIXEL_BITS)

    def stroke(self, frame: Frame, points: ArrayLike, colour: RGB, width: float, closed: bool = False) -> None:
        """Draw a line with round ends; `width` in the frame's units."""
        thickness = max(1, round(width * frame.scale * self.factor))
        line = [self._fixed(frame, points)]
        cv2.polylines(self.pixels, line, closed, colour, thickness, cv2.LINE_8, _SUBPIXEL_BITS)

    def tint(self, frame: Frame, points: ArrayLike, colour: RGB, share: float) -> None:
        """Fill a polygon with `share` (0 to 1) of a colour, letting the rest shine through."""
        corners = frame.to_px(points) * self.factor
        height, width = self.pixels.shape[:2]
        left, top = np.clip(np.floor(corners.min(0)).astype(int), 0, (width, height))
        right, bottom = np.clip(np.ceil(corners.max(0)).astype(int) + 1, 0, (width, height))
        if right <= left or bottom <= top:
            return
        below = self.pixels[top:bottom, left:right]
        above = below.copy()
        shifted = np.round((corners - (left, top)) * (1 << _SUBPIXEL_BITS)).astype(np.int32)
        cv2.fillPoly(above, [shifted], colour, lineType=cv2.LINE_8, shift=_SUBPIXEL_BITS)
        below[:] = cv2.addWeighted(above, share, below, 1 - share, 0)

    def finish(self) -> NDArray[np.uint8]:
        """The picture in its own size: uint8 [height, width, 3] RGB."""
        size = (self.width_px, self.height_px)
        return np.asarray(cv2.resize(self.pixels, size, interpolation=cv2.INTER_AREA), np.uint8)

    def _fixed(self, frame: Frame, points: ArrayLike) -> NDArray[np.int32]:
        scaled = frame.to_px(points) * (self.factor << _SUBPIXEL_BITS)
        return np.round(scaled).astype(np.int32)


def oval(x: float, y: float, radius_x: float, radius_y: float, steps: int = 40) -> Points:
    """A closed ellipse [steps, 2]."""
    return arc(x, y, radius_x, radius_y, 0.0, 2 * math.pi * (1 - 1 / steps), steps)


def arc(x: float, y: float, radius_x: float, radius_y: float, start: float, end: float, steps: int = 24) -> Points:
    """A piece of an ellipse [steps, 2]; angles in radians, clockwise from the right."""
    angles = np.linspace(start, end, steps, dtype=np.float32)
    return np.stack([x + radius_x * np.cos(angles), y + radius_y * np.sin(angles)], axis=1)


def bend(first: tuple[float, float], middle: tuple[float, float], last: tuple[float, float], steps: int = 16) -> Points:
    """A quadratic curve [steps, 2] from `first` to `last`, pulled towards `middle`."""
    t = np.linspace(0, 1, steps, dtype=np.float32)[:, None]
    start, pull, end = np.array([first, middle, last], np.float32)
    return np.asarray((1 - t) ** 2 * start + 2 * t * (1 - t) * pull + t**2 * end, np.float32)


def loop(corners: ArrayLike, steps: int = 8) -> Points:
    """A smooth closed curve through the corners [n, 2] (Catmull-Rom): [n * steps, 2]."""
    p1 = np.asarray(corners, np.float32)
    p0, p2, p3 = np.roll(p1, 1, 0), np.roll(p1, -1, 0), np.roll(p1, -2, 0)
    t = np.linspace(0, 1, steps, endpoint=False, dtype=np.float32)[:, None, None]
    curve = 2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3
    return np.asarray(curve.transpose(1, 0, 2).reshape(-1, 2) / 2, np.float32)


def box(left: float, top: float, right: float, bottom: float) -> Points:
    """A rectangle [4, 2]."""
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float32)
