"""Photos that lie on their side or stand on their head without saying so.

Detectors find such faces, with points where an upright face would have them, and recognisers then see somebody else.
Measured with YuNet and SFace on 20 faces of 13 people in real photos, each in its four turns: of 60 turned ones 45 were
found, all as somebody else (cosine 0.31 at most). Their scores were 0.51 to 0.90, of the upright ones 0.83 to 0.95,
and always 0.05 lower than upright; their embeddings 0.25 to 0.70 as long. So score and length together raise the
doubt, and both decide. Turns are quarter turns counter-clockwise, as numpy's rot90 counts them.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from idgen.faces.detection import Found

TURNS = (1, 2, 3)
SURE_SCORE = 0.92
"""From here on a face is upright (the turned ones: 0.90 at most)."""
OVER = 0.62
LONGER = 0.72
"""The aligned face's crop turned over, or turned at all, makes an embedding at most so long, in lengths of the upright
one (upright faces: 0.68 at most; of turned ones 0.67 at least turned over, 0.76 at least in the best turn)."""
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


def doubtful(score: float, length: Callable[[int], float]) -> bool:
    """Return whether a face may not be upright: the detector is unsure, and its crop looks better turned.

    `length` says how long the embedding is of the crop after quarter turns; it is asked as seldom as possible.
    """
    if score >= SURE_SCORE:
        return False
    upright, over = length(0), length(2)
    return over > OVER * upright and max(over, length(1), length(3)) > LONGER * upright


def upright(bgr: Pixels, box: Floats, least: tuple[float, float], look: Look, length_of: Length) -> int:
    """Return the quarter turns after which the face at `box` [4] in `bgr` is upright; 0 when none is better.

    `least`: score, and length of the embedding, which the turned photo's face must have. The surest one is taken.
    """
    best, (score, length) = 0, least
    middle, side = (box[:2] + box[2:]) / np.float32(2), float((box[2:] - box[:2]).max())
    for turns in TURNS:
        turned = turn(bgr, turns)
        found = look(turned)
        at = _face_at(found, moved(middle, turns, bgr), side)
        if at is None or found.boxes[at, 4] < score or length_of(turned, found.points[at]) < length:
            continue
        best, score = turns, float(found.boxes[at, 4])
    return best


def first_found(bgr: Pixels, look: Look) -> int:
    """Return the turn after which `look` is surest of a face in `bgr`; 0 when it finds none in any."""
    scores = {turns: look(turn(bgr, turns)).boxes[:, 4].max(initial=0.0) for turns in TURNS}
    best = max(TURNS, key=lambda turns: scores[turns])
    return best if scores[best] >= FIRST_SCORE else 0


def moved(place: Floats, turns: int, bgr: Pixels) -> Floats:
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
