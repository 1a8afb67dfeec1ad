"""Photos that lie on their side or stand on their head without saying so.

Detectors find such faces, with points where an upright face would have them, and recognisers then see somebody else.
What betrays it on real photos (YuNet and SFace): the raw embedding is 0.25 to 0.70 as long as that of the upright face,
and the detector is surer of the upright one, always; how sure it is of a turned one (up to 0.91) says little alone.
Turns are quarter turns counter-clockwise, as numpy's rot90 counts them.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from idgen.faces.detection import Found

TURNS = (1, 2, 3)
SURE_SCORE = 0.88
"""From here on a face is upright if its own crop, turned over, does not look better."""
SURE_SCORE_ALONE = 0.92
"""The same where no embedding is asked for."""
UPSIDE_DOWN = 0.85
"""A crop turned over makes an embedding shorter than this, of the upright one's length (real faces: 0.67 at most)."""
SCORE_GAIN = 0.02
LENGTH_GAIN = 1.2
"""What the turned photo must gain to be taken."""
FIRST_SCORE = 0.8
"""What a face must have at least that is seen in the turned photo alone (cups and wheels of faceless photos: 0.75)."""

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]
Look = Callable[[Pixels], Found]
Length = Callable[[Pixels, Floats], float]
"""How long the embedding is of the face with these points [5, 2] in a photo."""


def turn(pixels: Pixels, turns: int) -> Pixels:
    """Return `pixels` [H, W, ...] turned."""
    return np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels


def note(turns: int) -> str:
    """Return the warning about a photo that was turned."""
    return f"photo_turned: its face is upright {360 - 90 * turns} degrees clockwise; the file does not say so"


def upright(bgr: Pixels, box: Floats, length: float | None, look: Look, length_of: Length) -> int:
    """Return the quarter turns after which the face at `box` [5] in `bgr` is upright; 0 when it is, or none is better.

    The box's score is that of `look`, 0 where it takes another. `length` is the embedding's, None when none is asked
    for: then the detector alone decides.
    """
    best, gained = 0, float(box[4]) + SCORE_GAIN
    for turns in TURNS:
        turned = turn(bgr, turns)
        found = look(turned)
        at = _face_at(
            found, _moved((box[:2] + box[2:4]) / np.float32(2), turns, bgr), float((box[2:4] - box[:2]).max())
        )
        if at is None or found.boxes[at, 4] < gained:
            continue
        if length is not None and length_of(turned, found.points[at]) < LENGTH_GAIN * length:
            continue
        best, gained = turns, float(found.boxes[at, 4])
    return best


def first_found(bgr: Pixels, look: Look) -> int:
    """Return the turn after which `look` is surest of a face in `bgr`; 0 when it finds none in any."""
    scores = {turns: look(turn(bgr, turns)).boxes[:, 4].max(initial=0.0) for turns in TURNS}
    best = max(TURNS, key=lambda turns: scores[turns])
    return best if scores[best] >= FIRST_SCORE else 0


def _moved(place: Floats, turns: int, bgr: Pixels) -> Floats:
    """Return where a place (x, y) of `bgr` is after the turns."""
    width, height = bgr.shape[1], bgr.shape[0]
    for _ in range(turns):
        place, width, height = np.array([place[1], width - place[0]], np.float32), height, width
    return place


def _face_at(found: Found, place: Floats, side: float) -> int | None:
    """Return the row of the surest face whose middle is at most half of `side` away from `place`."""
    if not len(found):
        return None
    away = np.linalg.norm((found.boxes[:, :2] + found.boxes[:, 2:4]) / 2 - place, axis=1)
    scores = np.where(away <= side / 2, found.boxes[:, 4], 0.0)
    return int(np.argmax(scores)) if scores.max() > 0 else None
