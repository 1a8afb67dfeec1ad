"""Portraits and scenes of drawn people, with the truth a face detector needs.

The same arguments always give the same pixels (per OpenCV version). Nothing here knows torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from idgen.tiny.people import DrawnPerson, Look
from idgen.tiny.render_backdrop import draw_backdrop
from idgen.tiny.render_canvas import Frame, Sheet
from idgen.tiny.render_clutter import draw_clutter
from idgen.tiny.render_face import Head, draw_head

_HEAD_SHARE = 0.245  # face unit / picture height: hair and chin then span about two thirds
_SPAN = (1.5, 1.9, 1.55)  # what a head with hair reaches to the sides, above and below its centre, face units


@dataclass(frozen=True, slots=True)
class Drawing:
    """A finished picture and where its faces are; one entry per person, in the order they were given."""

    image: NDArray[np.uint8]  # [H, W, 3] RGB
    boxes: NDArray[np.float32]  # [n, 4] x1, y1, x2, y2 of the face's outline without hair and ears, px
    keypoints: NDArray[np.float32]  # [n, 5, 2] left eye, right eye, nose, left, right mouth corner as seen, px


def draw_portrait(person: DrawnPerson, look: Look, size_px: int = 256) -> Drawing:
    """One person in a square picture of `size_px`, head about two thirds of its height."""
    sheet = Sheet(size_px, size_px)
    draw_backdrop(sheet, look.scene, look.scene_seed)
    frame = Frame(
        centre_x=size_px * (0.5 + look.shift_x),
        centre_y=size_px * (0.49 + look.shift_y),
        scale=size_px * _HEAD_SHARE * look.zoom,
        roll=look.roll,
    )
    return _finish(sheet, [Head(person, look, frame)], look)


def draw_scene(people: Sequence[DrawnPerson], seed: int, width_px: int = 320, height_px: int = 320) -> Drawing:
    """Several people of different sizes among clutter; with no people a picture without any face.

    Looks, places and sizes come from the seed. Nobody covers another one's face.
    """
    rng = np.random.default_rng([seed, 404])
    sheet = Sheet(width_px, height_px)
    room = Look.sample(int(rng.integers(2**31)))
    draw_backdrop(sheet, room.scene, room.scene_seed)
    draw_clutter(sheet, rng, int(rng.integers(0, 12)))
    looks = [replace(Look.sample(int(rng.integers(2**31))), scene=room.scene) for _ in people]
    frames = _places(rng, looks, width_px, height_px)
    heads = [Head(*trio) for trio in zip(people, looks, frames, strict=True)]
    return _finish(sheet, heads, room)


def _places(rng: np.random.Generator, looks: Sequence[Look], width_px: int, height_px: int) -> list[Frame]:
    """One frame per look such that no head with its hair touches another."""
    side, frames = min(width_px, height_px), list[Frame]()
    largest = 0.24 if len(looks) <= 1 else 0.15
    for look in looks:
        scale = float(np.exp(rng.uniform(np.log(8), np.log(max(9, largest * side)))))
        while True:
            beside, above, below = (reach * scale for reach in _SPAN)
            x = float(rng.uniform(min(beside, width_px / 2), max(width_px - beside, width_px / 2)))
            y = float(rng.uniform(min(above, height_px / 2), max(height_px - below, height_px / 2)))
            frame = Frame(x, y, scale, look.roll)
            if not any(_touch(frame, other) for other in frames):
                break
            scale *= 0.95  # smaller heads always find a gap in the end
        frames.append(frame)
    return frames


def _touch(first: Frame, second: Frame) -> bool:
    beside, above, below = _SPAN
    upper, lower = sorted((first, second), key=lambda frame: frame.centre_y)
    apart = lower.centre_y - above * lower.scale - upper.centre_y - below * upper.scale
    return apart < 0 and abs(first.centre_x - second.centre_x) < beside * (first.scale + second.scale)


def _finish(sheet: Sheet, heads: Sequence[Head], look: Look) -> Drawing:
    """Draw the heads, those further down last, then light the picture and collect the truth."""
    for head in sorted(heads, key=lambda head: head.frame.centre_y):
        draw_head(sheet, head)
    return Drawing(
        image=_lit(sheet.finish(), look),
        boxes=np.array([head.box_px() for head in heads], np.float32).reshape(-1, 4),
        keypoints=np.array([head.keypoints_px() for head in heads], np.float32).reshape(-1, 5, 2),
    )


def _lit(image: NDArray[np.uint8], look: Look) -> NDArray[np.uint8]:
    """Brightness, light from one side, a warm or cold cast, and sensor noise."""
    side = 1 + 0.14 * look.light_side * np.linspace(-1, 1, image.shape[1], dtype=np.float32)[None, :, None]
    cast = np.array([1 + 0.06 * look.warmth, 1, 1 - 0.06 * look.warmth], np.float32)
    lit = image.astype(np.float32) * (look.brightness * cast * side)
    if look.noise:
        rng = np.random.default_rng([look.scene_seed, 505])
        lit = lit + rng.standard_normal(image.shape, dtype=np.float32) * look.noise
    return np.asarray(np.clip(np.round(lit), 0, 255), np.uint8)
