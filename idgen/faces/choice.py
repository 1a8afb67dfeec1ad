"""Which of several faces is meant."""

import numpy as np
import numpy.typing as npt

from idgen.errors import Code, RowError

Floats = npt.NDArray[np.float32]


def choose(boxes: Floats, size: tuple[int, int], face_select: str) -> int:
    """Return the row of `boxes` [n, 5] (xyxy, score) that `face_select` asks for in a photo of `size`.

    Raises RowError: bad_value for an unknown word, face_index_missing.
    """
    middles = (boxes[:, :2] + boxes[:, 2:4]) / 2
    if face_select == "largest":
        return int(np.argmax((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])))
    if face_select == "best":
        return int(np.argmax(boxes[:, 4]))
    if face_select == "center":
        return nearest(boxes, (size[0] / 2, size[1] / 2))
    word, _, number = face_select.partition(":")
    if word != "index" or not (number.isascii() and number.isdecimal()):
        raise RowError(Code.BAD_VALUE, "face_select: write largest, center, best or index:N")
    if int(number) >= len(boxes):
        raise RowError(Code.FACE_INDEX_MISSING, f"index:{number[:9]} of {len(boxes)} faces, counted from 0")
    return int(np.argsort(middles[:, 0], kind="stable")[int(number)])


def nearest(boxes: Floats, place: tuple[float, float]) -> int:
    """Return the row of `boxes` [n, 4 or more] (xyxy first) whose middle is nearest to `place` (x, y)."""
    middles = (boxes[:, :2] + boxes[:, 2:4]) / 2
    return int(np.argmin(np.linalg.norm(middles - np.array(place), axis=1)))
