"""Who is drawn for training, how, and what of it the adapters are given. No torch here.

People's numbers begin far apart: those that train, those that are asked for in the evaluation, those of the judge.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from drawn_world.face_pack.data import ARCFACE_POINTS, similarity
from idgen.tiny.people import DrawnPerson, Look
from idgen.tiny.render import Drawing, draw_portrait

TRAINED, HELD_OUT, JUDGED = 10_000_000, 20_000_000, 30_000_000
REFERENCE_PX = (128, 160, 192, 256)
JITTER = 0.03
"""At most, of a keypoint where a detector finds it, in parts of the face's width; the face pack's median error."""
_HEAD = 0.245
"""Face unit over a picture's height at zoom 1 (render.py)."""

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Reference:
    """A photo of somebody, with its five points and its box as a detector finds them: a little wrong."""

    pixels: Pixels  # [H, H, 3] RGB
    points: Floats  # [5, 2]
    box: Floats  # [4]


def calm(person: int, number: int, px: int) -> tuple[Drawing, Look]:
    """Picture `number` of a person: large, nearly frontal."""
    look = Look.sample(person * 64 + number, calm=True)
    return draw_portrait(DrawnPerson.sample(person), look, px), look


def placed(person: int, number: int, px: int) -> tuple[Drawing, Look]:
    """Picture `number` of a person whose face is smaller, elsewhere, and leans; all of it inside."""
    rng = np.random.default_rng([person, number, 808])
    zoom = float(np.exp(rng.uniform(np.log(0.55), np.log(1.05))))
    unit = _HEAD * zoom
    beside, above, below = max(0.0, 0.5 - 1.35 * unit), max(0.0, 0.49 - 1.75 * unit), max(0.0, 0.51 - 1.3 * unit)
    look = replace(
        Look.sample(person * 64 + 32 + number, calm=True),
        zoom=zoom,
        shift_x=float(rng.uniform(-beside, beside)),
        shift_y=float(rng.uniform(-above, below)),
        roll=float(rng.normal(0, 0.3)) if rng.random() < 0.7 else float(rng.uniform(-0.7, 0.7)),
        yaw=float(rng.uniform(-0.15, 0.15)),
    )
    return draw_portrait(DrawnPerson.sample(person), look, px), look


def reference(person: int, number: int) -> Reference:
    """Photo `number` of a person, as users bring them: of several sizes, most of them calm."""
    rng = np.random.default_rng([person, number, 909])
    look = Look.sample(person * 64 + 16 + number, calm=bool(rng.random() < 0.75))
    drawing = draw_portrait(DrawnPerson.sample(person), look, int(rng.choice(REFERENCE_PX)))
    return found(drawing, rng)


def found(drawing: Drawing, rng: np.random.Generator) -> Reference:
    """Return the drawing's first face with errors like a detector's."""
    box = drawing.boxes[0]
    width, jitter = float(box[2] - box[0]), float(rng.uniform(0, JITTER))
    points = drawing.keypoints[0] + rng.normal(0, jitter * width, (5, 2))
    return Reference(
        drawing.image, points.astype(np.float32), (box + rng.normal(0, jitter * width, 4)).astype(np.float32)
    )


def aligned(photo: Reference, px: int) -> Pixels:
    """Return the face upright [px, px, 3] in ArcFace's frame: insightface's norm_crop, for multiples of 112."""
    turn = similarity(photo.points, ARCFACE_POINTS * np.float32(px / 112))
    return np.asarray(cv2.warpAffine(photo.pixels, turn, (px, px)), np.uint8)
