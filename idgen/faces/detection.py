"""Finds faces in a photo: looks once, and again where the detector is known to miss faces.

A face that fills the frame is found with a border around the photo, one that is tiny in a large photo in quarters of
it. Each further look can also see a face in a coffee cup, so it counts only with a higher score, and what it was made
for: after a border large boxes alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

AGAIN_SCORE = 0.65
"""What a face must have at least in a further look: with a border 139 faceless pictures gave 0.51 at most of a large
one, 20 close-ups without forehead and chin 0.86 and more."""
PAD_FRACTIONS = (0.25, 1.0)
"""Of each side, tried in this order: the first keeps most pixels, the last finds 20 of 20 such close-ups."""
LARGE_FRACTION = 0.25
"""Of the photo: a face that fills the frame has at least so much of it."""
SMALL_FRACTION = 0.03
"""Of the photo, as `faces.warn_face_fraction`: below it what was found may be a badge on the person who is meant."""
QUARTER_FRACTION = 0.6
"""Of each side: quarters overlap, so that no small face is cut by all of them."""
CLOSE_UP = 4.0
"""Sides of a tiny face that the look has which confirms it and finds its points again."""
_SAME_FACE = 0.4  # of two boxes' common area

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]


class Detector(Protocol):
    """What is used of insightface's detectors, which carry no types."""

    @property
    def det_thresh(self) -> float:
        """The score that a face must have at least."""
        ...

    def detect(self, img: Pixels) -> tuple[Floats, Floats]:
        """Return boxes [n, 5] and points [n, 5, 2] of a BGR picture [H, W, 3]."""
        ...


@dataclass(frozen=True, slots=True)
class Found:
    """Faces of one photo; none of them is possible."""

    boxes: Floats  # [n, 5] xyxy and score, pixels of the photo; may reach beyond its edge
    points: Floats  # [n, 5, 2]
    notes: tuple[str, ...]  # n; how it was found, "" at first sight

    def __len__(self) -> int:
        return len(self.boxes)

    def of(self, rows: npt.NDArray[np.bool_]) -> "Found":
        """Return those of `rows` [n]."""
        return Found(
            self.boxes[rows], self.points[rows], tuple(n for n, kept in zip(self.notes, rows, strict=True) if kept)
        )

    def moved(self, across: float, down: float, note: str) -> "Found":
        """Return them in other pixels, with `note` for all."""
        boxes = self.boxes.copy()
        boxes[:, :4] += np.array([across, down, across, down], np.float32)
        return Found(boxes, self.points + np.array([across, down], np.float32), (note,) * len(self))

    def joined(self, other: "Found") -> "Found":
        """Return both, without those of `other` that are here already."""
        new = np.array([not any(_overlap(box, mine) > _SAME_FACE for mine in self.boxes) for box in other.boxes], bool)
        more = other.of(new)
        return Found(
            np.concatenate([self.boxes, more.boxes]),
            np.concatenate([self.points, more.points]),
            self.notes + more.notes,
        )


NOTHING = Found(np.zeros((0, 5), np.float32), np.zeros((0, 5, 2), np.float32), ())


def look(detector: Detector, bgr: Pixels) -> Found:
    """Return what insightface's `detector` finds in `bgr` [H, W, 3] at first sight."""
    boxes, points = detector.detect(np.ascontiguousarray(bgr))
    if len(boxes) == 0:
        return NOTHING
    return Found(np.asarray(boxes, np.float32), np.asarray(points, np.float32), ("",) * len(boxes))


def find(detector: Detector, bgr: Pixels) -> Found:
    """Return the faces in a picture that was made here, looked for again with a border when there is none.

    It has a face: what the border shows of it counts with any size and score.
    """
    return look(detector, bgr) or _bordered(detector, bgr, PAD_FRACTIONS[0])


def find_in_photo(detector: Detector, bgr: Pixels, side_px: int) -> Found:
    """Return the faces in a photo, where nobody knows how large they are.

    When there is none, it is looked for again with borders, then in quarters; when all are small, once with a border
    for one that fills the frame. `side_px` is the side of the detector's input.
    """
    found = look(detector, bgr) or _with_border(detector, bgr, PAD_FRACTIONS) or _in_quarters(detector, bgr, side_px)
    at_first_sight = len(found) and not any(found.notes)
    if at_first_sight and fractions(found.boxes, (bgr.shape[1], bgr.shape[0])).max() < SMALL_FRACTION:
        return found.joined(_with_border(detector, bgr, PAD_FRACTIONS[-1:]))
    return found


def fractions(boxes: Floats, size: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Return which share of a photo of `size` (width, height) each of the boxes [n, 4 or more] covers."""
    inside = np.clip(boxes[:, :4], 0, [*size, *size])
    sides = inside[:, 2:] - inside[:, :2]
    return np.asarray(sides[:, 0] * sides[:, 1] / (size[0] * size[1]), dtype=np.float64)


def sure(detector: Detector, boxes: Floats) -> npt.NDArray[np.bool_]:
    """Return which of the boxes [n, 5] a further look may add."""
    return np.asarray(boxes[:, 4] >= max(AGAIN_SCORE, detector.det_thresh), dtype=np.bool_)


def _with_border(detector: Detector, bgr: Pixels, pad_fractions: Sequence[float]) -> Found:
    size = (bgr.shape[1], bgr.shape[0])
    for fraction in pad_fractions:
        found = _bordered(detector, bgr, fraction)
        kept = found.of(sure(detector, found.boxes) & (fractions(found.boxes, size) >= LARGE_FRACTION))
        if len(kept):
            return kept
    return NOTHING


def _bordered(detector: Detector, bgr: Pixels, fraction: float) -> Found:
    # black, as outside of every photo: the embedding does not depend on the border
    down, across = (round(side * fraction) for side in bgr.shape[:2])
    padded = cv2.copyMakeBorder(bgr, down, down, across, across, cv2.BORDER_CONSTANT, value=(0, 0, 0))
    found = look(detector, np.asarray(padded, np.uint8))
    return found.moved(-across, -down, "face_fills_frame: found only after a border was added")


def _in_quarters(detector: Detector, bgr: Pixels, side_px: int) -> Found:
    """Return what is found where the detector gets more pixels than of the whole photo, each confirmed close up."""
    found = NOTHING
    if max(bgr.shape[:2]) <= side_px:
        return found  # it had them all
    for left, top, part in _quarters(bgr):
        seen = look(detector, part)
        for box in seen.of(sure(detector, seen.boxes)).boxes:
            found = found.joined(_close_up(detector, bgr, box[:4] + np.array([left, top, left, top])))
    return found


def _quarters(bgr: Pixels) -> Iterator[tuple[int, int, Pixels]]:
    height, width = (round(side * QUARTER_FRACTION) for side in bgr.shape[:2])
    for top in (0, bgr.shape[0] - height):
        for left in (0, bgr.shape[1] - width):
            yield left, top, bgr[top : top + height, left : left + width]


def _close_up(detector: Detector, bgr: Pixels, box: Floats) -> Found:
    """Return the face at `box` [4] as it is found in its surroundings: points found on some 15 pixels are guesses."""
    middle, half = (box[:2] + box[2:]) / 2, CLOSE_UP / 2 * float(max(box[2:] - box[:2]))
    left, top = (max(0, int(at - half)) for at in middle)
    part = bgr[top : int(middle[1] + half), left : int(middle[0] + half)]
    found = look(detector, part).moved(left, top, "face_far: found only when parts of the photo were enlarged")
    rows = np.array([_overlap(one, box) > _SAME_FACE for one in found.boxes], bool)
    return found.of(rows & sure(detector, found.boxes))


def _overlap(one: Floats, other: Floats) -> float:
    """Return the common area of two boxes (xyxy first) in areas of both together."""
    sides = np.minimum(one[2:4], other[2:4]) - np.maximum(one[:2], other[:2])
    if (sides <= 0).any():
        return 0.0
    common = float(sides[0] * sides[1])
    areas = [float((box[2] - box[0]) * (box[3] - box[1])) for box in (one, other)]
    return common / (areas[0] + areas[1] - common)
