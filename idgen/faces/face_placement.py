"""Where the face goes in a row's picture: from the face that was found to five points and their drawing."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from idgen.columns import FACE_DRAWING, POSE_IMAGE
from idgen.errors import Code, RowError
from idgen.faces.identity import Identity, Request
from idgen.faces.keypoints import SourceFace, draw, notes, target_keypoints
from idgen.sources.input_images import png

if TYPE_CHECKING:
    from idgen.faces.analysis import Face

_REMEMBERED_DRAWINGS = 64  # some 20 kB each; rows that want the face in one place stand together


@dataclass(frozen=True, slots=True)
class FacePlacement:
    """What IdentityNet is shown of one row."""

    keypoints: list[float]  # 10, pixels of the picture
    png: bytes
    warnings: list[str]

    def joined(self, identity: Identity) -> Identity:
        """Return `identity` with the points, their drawing and warnings."""
        return replace(
            identity,
            target_keypoints=self.keypoints,
            warnings=[*identity.warnings, *self.warnings],
            images={**identity.images, FACE_DRAWING: self.png},
        )


def place_face(request: Request, found: "Sequence[Face]") -> FacePlacement | None:
    """Return the points of the first face in `found`, moved as the row wants it, and drawn; None where it draws none.

    Raises RowError as keypoints.target_keypoints; of a face in face_pose_uri that makes none, with the column's name.
    """
    target, size = request.face_target, request.size
    if target is None:
        return None
    if not found:
        raise RowError(Code.MISSING_VALUE, "reference_uri: this recipe needs a photo of a face")
    source = SourceFace(found[0].keypoints, found[0].box, found[0].size)
    try:
        points = target_keypoints(source, target, size)
    except RowError as error:
        if request.face_pose_uri and error.code == Code.NO_FACE:
            raise RowError(error.code, f"{POSE_IMAGE}: {error.detail}") from None
        raise
    return FacePlacement(points.ravel().tolist(), _drawing(points.tobytes(), size), notes(points, size))


@lru_cache(_REMEMBERED_DRAWINGS)
def _drawing(points: bytes, size: tuple[int, int]) -> bytes:
    return png(draw(np.frombuffer(points, np.float32).reshape(5, 2), size))
