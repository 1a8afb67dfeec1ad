"""When a photo is doubted to be upright, and which way it is turned."""

import cv2
import numpy as np
import pytest

from idgen.faces import orientation
from idgen.faces.detection import Found


def asked(lengths):
    """Lengths by quarter turns, and a list of those that were asked for."""
    turns = []

    def length(turn):
        turns.append(turn)
        return lengths[turn]

    return turns, length


def test_of_a_sure_face_no_length_is_asked_for():
    turns, length = asked({})
    assert not orientation.doubtful(0.93, length)
    assert turns == []


@pytest.mark.parametrize(
    ("lengths", "doubtful", "count"),
    [
        ((1.0, 0.3, 0.57, 0.4), False, 2),  # the median of upright faces
        ((1.0, 0.3, 0.68, 0.46), False, 4),  # the longest of upright ones
        ((1.0, 1.26, 0.67, 0.3), True, 4),  # the shortest of turned ones
        ((1.0, 0.6, 1.1, 0.5), True, 4),  # upside down
        ((20.0, 6.0, 11.4, 8.0), False, 2),  # raw lengths are of any size
    ],
)
def test_an_unsure_face_is_doubted_when_its_crop_looks_better_turned(lengths, doubtful, count):
    turns, length = asked(lengths)
    assert orientation.doubtful(0.85, length) == doubtful
    assert len(set(turns)) == count


def photo(turns, *, distractor=False):
    """A face of 30 px that is darker at its top, turned; with `distractor` one elsewhere that is upside down."""
    pixels = np.zeros((120, 200, 3), np.uint8)
    pixels[20:50, 100:130] = np.linspace(50, 200, 30)[:, None, None]
    turned = np.ascontiguousarray(np.rot90(pixels, turns))
    if distractor:
        turned[-40:-10, 10:40] = np.linspace(200, 50, 30)[:, None, None]
    return turned


def places(pixels):
    """Boxes of what is no background."""
    count, _, found, _ = cv2.connectedComponentsWithStats((pixels[..., 0] > 0).astype(np.uint8))
    for left, top, width, height, _ in found[1:count].tolist():
        yield left, top, left + width, top + height


def is_upright(pixels, box):
    left, top, right, bottom = box
    return pixels[top, left:right].mean() < 60 and pixels[bottom - 1, left:right].mean() > 190


def look(pixels):
    boxes = list(places(pixels))
    scores = [0.95 if is_upright(pixels, box) else 0.8 for box in boxes]
    points = np.array([np.array(box)[[0, 1, 2, 1, 0, 1, 0, 3, 2, 3]].reshape(5, 2) for box in boxes], np.float32)
    return Found(np.array([[*box, score] for box, score in zip(boxes, scores, strict=True)], np.float32), points,
                 ("",) * len(boxes))  # fmt: skip


def length_of(pixels, points):
    box = (*points[0].astype(int), *points[4].astype(int))
    return 10.0 if is_upright(pixels, box) else 4.0


def box_of(turns):
    (box,) = places(photo(turns))
    return np.array(box, np.float32)


@pytest.mark.parametrize("turns", [1, 2, 3])
@pytest.mark.parametrize("distractor", [False, True])
def test_the_turn_is_the_one_that_makes_this_face_upright(turns, distractor):
    found = orientation.upright(photo(turns, distractor=distractor), box_of(turns), (0.82, 4.8), look, length_of)
    assert found == 4 - turns


@pytest.mark.parametrize("least", [(0.97, 4.8), (0.82, 12.0)])
def test_without_a_gain_in_score_and_length_nothing_is_turned(least):
    assert orientation.upright(photo(2), box_of(2), least, look, length_of) == 0


def test_the_note_says_which_way_the_photo_is_to_be_turned():
    assert orientation.note(3).startswith("photo_turned: its face is upright 90 degrees clockwise")
    assert (orientation.turn(np.arange(4).reshape(2, 2), 3) == [[2, 0], [3, 1]]).all()
