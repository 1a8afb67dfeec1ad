"""Which square is sampled again, and how much of it comes into the picture."""

import numpy as np
import pytest
from PIL import Image

from idgen.sampling.face_square import BORDER_FRACTION, SOFT_FRACTION, Square, around, soft_mask

SIZE = (400, 600)


@pytest.mark.parametrize(
    ("box", "square"),
    [
        ((100, 200, 140, 260), Square(60, 170, 120)),  # twice the longer side, about the middle
        ((0, 200, 40, 260), Square(0, 170, 120)),  # moved in from the left
        ((370, 560, 410, 620), Square(280, 480, 120)),  # from the lower right, where the box reaches out
        ((-30, -30, 20, 30), Square(0, 0, 120)),
        ((50, 100, 350, 500), Square(0, 100, 400)),  # no wider than the picture
    ],
)
def test_the_square_is_about_the_face_and_inside_the_picture(box, square):
    assert around(box, SIZE, 2.0) == square


def test_the_mask_is_whole_on_the_face_and_nothing_a_quarter_of_it_away():
    box, square = (150, 200, 190, 260), Square(110, 170, 120)
    mask = soft_mask(box, square, SIZE)
    assert mask.shape == (120, 120)
    assert (mask[30:90, 40:80] == 255).all()
    soft = round(SOFT_FRACTION * 60)
    assert (mask[: 30 - soft] == 0).all()
    assert (mask[90 + soft :] == 0).all()
    assert (mask[:, : 40 - soft] == 0).all()
    assert (mask[:, 80 + soft :] == 0).all()


def test_the_mask_falls_without_a_step():
    mask = soft_mask((150, 200, 190, 260), Square(110, 170, 120), SIZE).astype(int)
    steps = max(np.abs(np.diff(mask, axis=axis)).max() for axis in (0, 1))
    assert steps <= 1.5 * 255 / (SOFT_FRACTION * 60) + 1
    assert (np.diff(mask[60, 80:]) <= 0).all()


def test_a_square_that_cuts_the_face_leaves_no_seam_where_the_picture_goes_on():
    mask = soft_mask((0, 100, 400, 600), Square(0, 200, 400), SIZE)
    edge = round(BORDER_FRACTION * 400)
    assert mask[0].max() <= 1, "the picture goes on above"
    assert (mask[-1] == 255).all(), "it ends below"
    assert (mask[edge:, 0] == 255).all(), "and at both sides"
    assert (mask[edge:, -1] == 255).all()
    upper = soft_mask((0, 0, 400, 500), Square(0, 0, 400), SIZE)
    assert upper[-1].max() <= 1, "the picture goes on below"
    assert (upper[:-edge] == 255).all()
    wide = soft_mask((0, 0, 500, 400), Square(0, 0, 400), (600, 400))
    assert wide[:, -1].max() <= 1, "the picture goes on to the right"
    assert (wide[:, :-edge] == 255).all()


def test_blending_changes_the_soft_square_alone():
    rng = np.random.default_rng(1)
    picture = rng.integers(0, 256, (600, 400, 3), np.uint8)
    before = picture.copy()
    square = Square(110, 170, 120)
    mask = soft_mask((150, 200, 190, 260), square, SIZE)
    out = square.blended(picture, np.full((256, 256, 3), 255, np.uint8), mask)
    assert np.array_equal(picture, before)
    whole = np.zeros((600, 400), np.uint8)
    whole[170:290, 110:230] = mask
    assert np.array_equal(out[whole == 0], picture[whole == 0])
    assert (out[whole == 255] == 255).all()


def test_cutting_and_blending_back_at_the_square_s_own_size_changes_nothing():
    picture = np.random.default_rng(1).integers(0, 256, (600, 400, 3), np.uint8)
    square = Square(110, 170, 120)
    out = square.blended(picture, square.cut(picture, 120), np.full((120, 120), 255, np.uint8))
    assert np.array_equal(out, picture)


def test_points_lie_in_the_cut_where_they_lie_in_the_picture():
    picture = np.zeros((600, 400, 3), np.uint8)
    picture[220:222, 160:162] = 255
    square = Square(110, 170, 120)
    cut = square.cut(picture, 480)
    ((x, y),) = square.points(np.array([[161.0, 221.0]]), 480)
    bright = np.argwhere(cut[..., 0] > 128)
    assert np.allclose(bright.mean(axis=0) + 0.5, (y, x), atol=0.5)


@pytest.mark.parametrize("side_px", [64, 480])
def test_squares_are_brought_to_size_by_lanczos(side_px):
    picture = np.random.default_rng(1).integers(0, 256, (600, 400, 3), np.uint8)
    asked = Image.fromarray(picture[170:290, 110:230]).resize((side_px, side_px), Image.Resampling.LANCZOS)
    assert np.array_equal(Square(110, 170, 120).cut(picture, side_px), np.asarray(asked))
