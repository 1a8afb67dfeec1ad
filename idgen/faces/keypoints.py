"""The picture that steers IdentityNet: five face points, drawn at the size of the picture that is made.

InstantID's drawing (EcomID's is the same), of points that lie where the row wants the face. The originals draw on the
reference photo and then stretch the drawing, which squashes the face; here the points move, and are drawn last.

    points = target_keypoints(source, target, (width, height))     where the face is to be, in pixels of the output
    notes(points, (width, height))                                 warnings of the row, for instance a face cut off
    draw(points, (width, height))                                  the control image

`source` is the face of the reference, or of `face_pose_uri`; `target` holds the row's face_* columns. Sizes are (width,
height), x goes right and y down, points are eyes, nose, corners of the mouth, each pair from left to right as seen.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from idgen.errors import Code, RowError
from idgen.faces.alignment import check, spread_px

COLORS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255))
"""RGB of each point; the limb from it to the nose is of the same colour, darkened."""
LIMB_SHADE = 0.6
LIMB_HALF_PX = 4
RADIUS_PX = 10
"""Absolute: the points are as large in a small picture as in a large one."""
SMALL_SPREAD_PX = 2 * RADIUS_PX
FAR_PX = 1_000_000
HEAD_SCALE = 1.5
"""A head in boxes of its face, which end at forehead and chin; what `cover` keeps in the picture if it can."""

_NOSE = 2

Fit = Literal["fit", "cover", "place"]
Size = tuple[int, int]
Floats = npt.NDArray[np.floating]
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class SourceFace:
    """A face as it was found in a photo; Identity has the same facts as reference_keypoints, _box and _size."""

    keypoints: Floats  # [5, 2], pixels of the photo
    box: Sequence[float] | Floats  # [4], left, top, right, bottom, in the same pixels
    size: Size  # of the photo


@dataclass(frozen=True, slots=True)
class FaceTarget:
    """Where a row wants the face. `keypoints` decides alone; else `box`; else `fit`."""

    fit: Fit = "cover"
    """fit: the whole photo inside the picture, cover: the photo over the whole picture, both in the middle and in its
    own shape, so that the face is where it was in the photo; cover leaves the middle where that would cut the head off,
    as in a square of a person standing. place: `box` says it, and has to be there."""
    box: Sequence[float] | None = None
    """Left, top, right, bottom in 0..1 of the picture: the face as the detector frames it goes into the middle of it,
    as large as it fits in its own shape."""
    keypoints: Sequence[float] | None = None
    """x and y of each of the five points in 0..1 of the picture."""
    angle_deg: float | None = None
    """The turn that the face has in the picture (`angle_deg`), about its middle; None leaves it as it is."""


def target_keypoints(source: SourceFace, target: FaceTarget, size: Size) -> npt.NDArray[np.float32]:
    """Return the five points [5, 2] in pixels of the picture of `size`. The face is moved, scaled, turned, no more.

    The size is the one before the turn: a turned face may reach out of its box. Raises RowError: no_face when the
    source's points make no face; bad_value when `target` contradicts itself, makes no face or puts all of it outside;
    missing_value for "place" without a box.
    """
    points: Floats
    if target.keypoints is not None:
        if target.box is not None:
            raise RowError(Code.BAD_VALUE, "face_box and face_keypoints: only one of them can say where the face is")
        points, column = np.array(target.keypoints, np.float64).reshape(5, 2) * size, "face_keypoints"
        middle = points.mean(axis=0)
    else:
        points, middle, column = _moved(source, target, size)
    check(points, code=Code.BAD_VALUE, whose=column)
    if target.angle_deg is not None:
        points = turned(points, target.angle_deg - angle_deg(points), middle)
    if not inside(points, size).any():
        raise RowError(Code.BAD_VALUE, f"{column}: the whole face lies outside the picture of {size[0]}x{size[1]} px")
    return points.astype(np.float32)


def draw(keypoints: Floats, size: Size) -> Pixels:
    """Return InstantID's drawing of the points [5, 2], uint8 [height, width, 3] RGB, black where nothing is.

    Points may lie outside, or all in one place. Raises RowError(no_face) for points that are no numbers.
    """
    points = np.asarray(keypoints, np.float32)  # the originals' dtype: limbs are rounded to whole pixels
    if points.shape != (5, 2):
        raise ValueError(f"keypoints have the shape {points.shape}, not [5, 2]")
    if not (np.abs(points) < FAR_PX).all():
        raise RowError(Code.NO_FACE, "the five points to draw are not all finite numbers")
    picture = np.zeros((size[1], size[0], 3), np.uint8)
    for number in (0, 1, 3, 4):
        cv2.fillConvexPoly(picture, _limb(points[number], points[_NOSE]), COLORS[number])
    picture = (picture * LIMB_SHADE).astype(np.uint8)
    for (x, y), color in zip(points, COLORS, strict=True):
        cv2.circle(picture, (int(x), int(y)), RADIUS_PX, color, -1)
    return picture


def angle_deg(keypoints: Floats) -> float:
    """Return how far the face is turned, -180..180: 0 upright, 90 with the top of the head to the right.

    The direction from between the eyes to the middle of the mouth decides; in a profile the eyes alone would not.
    """
    across, down = (keypoints[3:].mean(axis=0) - keypoints[:2].mean(axis=0)).tolist()
    return math.degrees(math.atan2(-across, down))


def turned(keypoints: Floats, degrees: float, middle: Floats) -> npt.NDArray[np.float64]:
    """Return the points turned about `middle` [2], clockwise as seen when `degrees` are positive."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.asarray((keypoints - middle) @ np.array([[cosine, sine], [-sine, cosine]]) + middle, dtype=np.float64)


def inside(keypoints: Floats, size: Size) -> npt.NDArray[np.bool_]:
    """Return which of the points lie in the picture, [5]."""
    return np.asarray(((keypoints >= 0) & (keypoints < size)).all(axis=1), dtype=np.bool_)


def notes(keypoints: Floats, size: Size) -> list[str]:
    """Return the warnings about points that are to be drawn: a face cut off, or so small that they run together."""
    found = []
    outside = int((~inside(keypoints, size)).sum())
    if outside:
        found.append(f"face_cut: {outside} of its 5 points lie outside the picture")
    spread = spread_px(keypoints)
    if spread < SMALL_SPREAD_PX:
        found.append(
            f"small_target_face: its points run into each other, {spread:.0f} px from their centre, drawn "
            f"{RADIUS_PX} px "
            "large; "
            "use a larger box or picture, or face_pass=auto"
        )
    return found


def _moved(source: SourceFace, target: FaceTarget, size: Size) -> tuple[Floats, Floats, str]:
    """Return the source's points in the picture, not turned, the middle of the face, and the column that decided."""
    check(source.keypoints)
    left, top, right, bottom = (float(edge) for edge in source.box)
    if not (right > left and bottom > top):
        raise RowError(Code.NO_FACE, "the box found around the face has no size")
    face = np.array([left + right, top + bottom]) / 2
    if target.box is not None:
        column = "face_box"
        corners = np.array(target.box, np.float64).reshape(2, 2) * size
        scale = min((corners[1] - corners[0]) / [right - left, bottom - top])
        middle = corners.mean(axis=0)
    elif target.fit == "place":
        raise RowError(Code.MISSING_VALUE, "face_box: face_fit place needs it, to know where to place the face")
    else:
        column = f"face_fit {target.fit}"
        ratios = np.array(size) / source.size
        scale = min(ratios) if target.fit == "fit" else max(ratios)
        middle = np.array(size) / 2 + (face - np.array(source.size) / 2) * scale
        middle = middle + _shift(middle, np.array([right - left, bottom - top]) * scale, source.size, size, scale)
    return (source.keypoints - face) * scale + middle, middle, column


def _shift(middle: Floats, face: Floats, photo: Size, size: Size, scale: float) -> Floats:
    """Return how far a photo is moved so that the head around `middle` [2] is seen: no more than it covers."""
    room = np.maximum(np.array(photo) * scale - size, 0) / 2
    half = np.minimum(face * HEAD_SCALE, size) / 2
    return np.clip(np.clip(middle, half, size - half) - middle, -room, room)


def _limb(point: Floats, nose: Floats) -> npt.NDArray[np.int32]:
    """Return the outline of the ellipse between two points, in whole pixels."""
    across, down = point - nose
    length = (across**2 + down**2) ** 0.5
    middle = (point + nose) / 2
    angle = int(math.degrees(math.atan2(down, across)))
    outline = cv2.ellipse2Poly((int(middle[0]), int(middle[1])), (int(length / 2), LIMB_HALF_PX), angle, 0, 360, 1)
    return np.asarray(outline, dtype=np.int32)
