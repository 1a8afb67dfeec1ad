"""The check ground: how white and how even the ground is, in pictures that were asked for on white.

Asked for by the run's `checks.white_ground.shots` or the recipe's `white_ground`; null otherwise. Looked at is a frame
along the upper, left and right edge, without the faces in it: a person stands on the lower edge, or is cut by it.
"""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from idgen.checks.no_face import unmeasured
from idgen.checks.picture import PictureFacts, Pixels
from idgen.checks.protocol import Finding, FindingColumn

FRAME_FRACTION = 0.05
"""Width of the frame, of the picture's shorter side. Ours."""
WHITE_FROM = 250
"""Levels that every channel of a white pixel has at least: a JPEG's white wavers by a few. Ours."""


class GroundWhiteCheck:
    """How much of the frame is white."""

    column = FindingColumn(
        "ground_white_fraction",
        pa.float32(),
        f"share of the frame's pixels with {WHITE_FROM} of 255 or more in every channel; null where no white was asked",
        better="higher",
        of_white=True,
    )

    def look(self, picture: Pixels, facts: PictureFacts) -> Finding:
        """Return the share; null, with a reason, where faces could not be looked for."""
        ground = _ground(picture, facts)
        if ground is None:
            return _no_value(self.column.name, facts)
        return Finding(self.column.name, float((ground.min(axis=1) >= WHITE_FROM).mean()))


class GroundDeviationCheck:
    """How uneven the frame is."""

    column = FindingColumn(
        "ground_deviation",
        pa.float32(),
        "standard deviation of the frame's levels (0..255), the channel that has most; null where no white was asked",
        better="lower",
        of_white=True,
    )

    def look(self, picture: Pixels, facts: PictureFacts) -> Finding:
        """Return the deviation; null as the share of GroundWhiteCheck."""
        ground = _ground(picture, facts)
        if ground is None:
            return _no_value(self.column.name, facts)
        return Finding(self.column.name, float(ground.std(axis=0).max()))


def _no_value(name: str, facts: PictureFacts) -> Finding:
    """Where no white was asked for, or a face covers all, there is nothing to miss."""
    missed = facts.white_ground and "faces" in facts.broken
    return unmeasured(name, facts, "faces") if missed else Finding(name, None)


def _ground(picture: Pixels, facts: PictureFacts) -> NDArray[np.uint8] | None:
    """Return the frame's pixels [n, 3]; None where no white was asked, faces cover all of it, or nobody could look."""
    if not facts.white_ground or "faces" in facts.broken:
        return None
    height, width = picture.shape[:2]
    thick = max(1, round(FRAME_FRACTION * min(height, width)))
    frame = np.ones((height, width), bool)
    frame[thick:, thick : width - thick] = False
    for left, top, right, bottom in facts.seen.boxes[:, :4].clip(min=0) if facts.seen else ():
        frame[int(top) : int(np.ceil(bottom)), int(left) : int(np.ceil(right))] = False
    return picture[frame] if frame.any() else None
