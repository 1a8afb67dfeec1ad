"""A face goes where a row wants it, in its own shape; the drawing is of that place, at the output's size."""

import numpy as np
import pytest

from idgen.errors import Code, RowError
from idgen.faces.alignment import TEMPLATE
from idgen.faces.keypoints import (
    COLORS,
    FaceTarget,
    SourceFace,
    angle_deg,
    draw,
    inside,
    notes,
    target_keypoints,
    turned,
)
from idgen.sources.input_images import cover

PHOTO_SIZE = (1000, 1500)
POINTS = (TEMPLATE * 0.6 + [300, 250]).astype(np.float32)
SOURCE = SourceFace(POINTS, [380, 310, 560, 550], PHOTO_SIZE)
SQUARE, LYING, STANDING = (1024, 1024), (1344, 768), (832, 1216)
BOX = (0.55, 0.1, 0.95, 0.6)


def shape_of(points):
    """Distances between all points over their mean: equal for faces that are moved, scaled or turned alone."""
    apart = np.linalg.norm(points[:, None] - points[None], axis=-1)
    return apart / apart.mean()


def refusal(source, target, size=SQUARE) -> RowError:
    with pytest.raises(RowError) as caught:
        target_keypoints(source, target, size)
    return caught.value


TARGETS = [
    FaceTarget("fit"),
    FaceTarget("cover"),
    FaceTarget("place", BOX),
    FaceTarget("place", (0.0, 0.0, 1.0, 0.3), angle_deg=33.0),
    FaceTarget("fit", angle_deg=-20.0),
]


@pytest.mark.parametrize("size", [SQUARE, LYING, STANDING])
@pytest.mark.parametrize("target", TARGETS)
def test_no_face_is_squashed_or_turned_over(target, size):
    points = target_keypoints(SOURCE, target, size)
    assert points.dtype == np.float32
    assert np.abs(shape_of(points) - shape_of(POINTS)).max() < 1e-4
    eye, nose = points[1] - points[0], points[2] - points[0]
    assert eye[0] * nose[1] > eye[1] * nose[0]  # clockwise, as in the photo


@pytest.mark.parametrize("fit", ["fit", "cover"])
def test_a_picture_of_the_photos_size_has_the_photos_points(fit):
    assert np.array_equal(target_keypoints(SOURCE, FaceTarget(fit), PHOTO_SIZE), POINTS)
    assert np.array_equal(target_keypoints(SOURCE, FaceTarget(fit), (500, 750)), POINTS / 2)


def test_fit_shows_the_whole_photo_in_the_middle():
    scale = 1024 / 1500
    wanted = POINTS * scale + [(1024 - 1000 * scale) / 2, 0]
    assert np.abs(target_keypoints(SOURCE, FaceTarget("fit"), SQUARE) - wanted).max() < 1e-3


@pytest.mark.parametrize("size", [(512, 512), (768, 420), (320, 640)])
def test_cover_puts_the_points_where_a_covering_photo_has_them(size):
    photo = np.zeros((PHOTO_SIZE[1], PHOTO_SIZE[0], 3), np.uint8)
    middle_face = SourceFace(np.add(POINTS, [0, 250]), np.add(SOURCE.box, [0, 250, 0, 250]), PHOTO_SIZE)
    for number, (x, y) in enumerate(middle_face.keypoints.round().astype(int)):
        photo[:] = 0
        photo[y - 9 : y + 10, x - 9 : x + 10] = 255
        down, across = np.nonzero(cover(photo, *size)[..., 0] > 127)
        found = target_keypoints(middle_face, FaceTarget("cover"), size)[number]
        assert np.abs(found - [across.mean(), down.mean()]).max() < 1


@pytest.mark.parametrize("size", [SQUARE, LYING, STANDING, (1016, 1016), (1536, 640)])
@pytest.mark.parametrize("move", [(0, -280), (0, 900), (-350, 0), (400, -280)])
def test_cover_leaves_the_middle_rather_than_cut_the_head_off(move, size):
    """A square of a standing person has the belt in its middle: every row of full-body photos would be refused."""
    source = SourceFace(POINTS + move, np.add(SOURCE.box, [*move, *move]), PHOTO_SIZE)
    points = target_keypoints(source, FaceTarget("cover"), size)
    scale = max(size[0] / 1000, size[1] / 1500)
    assert inside(points, size).all()
    corner = points[0] - source.keypoints[0] * scale  # where the photo's corner lies: it still covers the picture
    assert (corner <= 0.01).all()
    assert (corner + np.array(PHOTO_SIZE) * scale >= np.array(size) - 0.01).all()


def test_the_default_is_cover_and_a_box_wins_over_it():
    assert np.array_equal(
        target_keypoints(SOURCE, FaceTarget(), SQUARE), target_keypoints(SOURCE, FaceTarget("cover"), SQUARE)
    )
    by_box = target_keypoints(SOURCE, FaceTarget("place", BOX), SQUARE)
    assert np.array_equal(target_keypoints(SOURCE, FaceTarget("cover", BOX), SQUARE), by_box)


@pytest.mark.parametrize("size", [SQUARE, LYING, STANDING])
@pytest.mark.parametrize("box", [BOX, (0.1, 0.1, 0.2, 0.9), (0.0, 0.4, 1.0, 0.6)])
def test_a_box_holds_the_face_in_its_middle_as_large_as_it_fits(box, size):
    points = target_keypoints(SOURCE, FaceTarget("place", box), size)
    left, top, right, bottom = np.array(box) * [*size, *size]
    scale = min((right - left) / 180, (bottom - top) / 240)  # the source's box is 180 x 240
    wanted = (POINTS - [470, 430]) * scale + [(left + right) / 2, (top + bottom) / 2]
    assert np.abs(points - wanted).max() < 1


@pytest.mark.parametrize("degrees", [-180, -90, -15, 0, 15, 45, 90, 179])
def test_a_turned_moved_resized_face_has_its_five_points_where_they_were_asked_for(degrees):
    slanted = SourceFace(turned(POINTS, 20, np.array([470, 430])), SOURCE.box, PHOTO_SIZE)
    points = target_keypoints(slanted, FaceTarget("place", BOX, angle_deg=degrees), SQUARE)
    middle = np.array([0.75, 0.35]) * 1024
    scale = min(0.4 * 1024 / 180, 0.5 * 1024 / 240)
    upright = (POINTS - [470, 430]) @ [1, 1j] * np.exp(-1j * np.deg2rad(angle_deg(POINTS)))
    numbers = upright * scale * np.exp(1j * np.deg2rad(degrees))
    assert np.abs(points - np.stack([numbers.real, numbers.imag], 1) - middle).max() < 1
    assert (angle_deg(points) - degrees + 180) % 360 - 180 == pytest.approx(0, abs=0.01)


def test_an_angle_alone_turns_the_face_about_its_own_middle():
    straight = target_keypoints(SOURCE, FaceTarget("fit"), SQUARE)
    points = target_keypoints(SOURCE, FaceTarget("fit", angle_deg=90.0), SQUARE)
    face = np.array([470, 430]) * 1024 / 1500 + [(1024 - 1000 * 1024 / 1500) / 2, 0]
    assert np.abs(points - turned(straight, 90 - angle_deg(straight), face)).max() < 1e-3
    assert points[0, 1] < points[1, 1]  # clockwise: the eye that was on the left is above
    assert points[:2, 0].min() > points[3:, 0].max()


def test_angles_are_clockwise_from_upright():
    assert abs(angle_deg(TEMPLATE)) < 1
    about = TEMPLATE.mean(0)
    for degrees in (-120, -30, 60, 170):
        assert angle_deg(turned(TEMPLATE, degrees, about)) == pytest.approx(degrees + angle_deg(TEMPLATE))


def test_face_keypoints_decide_alone():
    shares = (TEMPLATE / 512 * 0.5 + 0.2).ravel().tolist()
    points = target_keypoints(SOURCE, FaceTarget("cover", keypoints=shares), LYING)
    assert np.abs(points - np.array(shares).reshape(5, 2) * [1344, 768]).max() < 1e-3
    turned_points = target_keypoints(SOURCE, FaceTarget("place", keypoints=shares, angle_deg=30.0), LYING)
    assert angle_deg(turned_points) == pytest.approx(30, abs=0.01)
    assert np.abs(turned_points.mean(0) - points.mean(0)).max() < 1e-3


def test_what_contradicts_itself_is_refused_with_the_columns_name():
    shares = (TEMPLATE / 512).ravel().tolist()
    both = refusal(SOURCE, FaceTarget("place", BOX, shares))
    assert (both.code, both.detail[:25]) == (Code.BAD_VALUE, "face_box and face_keypoin")
    lost = refusal(SOURCE, FaceTarget("place"))
    assert lost.code is Code.MISSING_VALUE
    assert "face_box" in lost.detail
    swapped = np.array(shares).reshape(5, 2)[[1, 0, 2, 4, 3]].ravel().tolist()
    for wrong, said in ((swapped, "swapped"), ([0.5] * 10, "the same place"), ([*shares[:9], float("nan")], "numbers")):
        error = refusal(SOURCE, FaceTarget(keypoints=wrong))
        assert error.code is Code.BAD_VALUE
        assert error.detail.startswith("face_keypoints: ")
        assert said in error.detail


def test_a_box_too_small_for_a_face_is_refused():
    error = refusal(SOURCE, FaceTarget("place", (0.5, 0.5, 0.501, 0.501)))
    assert error.code is Code.BAD_VALUE
    assert error.detail.startswith("face_box: ")


@pytest.mark.parametrize("points", [np.full((5, 2), np.nan), np.full((5, 2), 7.0), POINTS[[1, 0, 2, 4, 3]]])
def test_a_source_whose_points_make_no_face_is_refused_as_no_face(points):
    assert refusal(SourceFace(points, SOURCE.box, PHOTO_SIZE), FaceTarget()).code is Code.NO_FACE


@pytest.mark.parametrize("box", [[5, 5, 5, 9], [5, 5, 4, 9], [np.nan] * 4])
def test_a_source_without_a_box_is_refused_as_no_face(box):
    assert refusal(SourceFace(POINTS, box, PHOTO_SIZE), FaceTarget("place", BOX)).code is Code.NO_FACE


def test_a_face_cut_off_is_said_and_one_wholly_outside_refused():
    beyond = SourceFace(POINTS - [0, 600], np.subtract(SOURCE.box, [0, 600, 0, 600]), PHOTO_SIZE)
    assert "outside the picture" in refusal(beyond, FaceTarget("cover"), LYING).detail
    points = np.array([[-5, 9], [90, 9], [40, 40], [9, 90], [90, 100]], np.float32)
    assert inside(points, (100, 100)).tolist() == [False, True, True, True, False]
    assert notes(points, (100, 100)) == ["face_cut: 2 of its 5 points lie outside the picture"]
    (small,) = notes(points[[1, 2, 2, 3, 3]] * 0.2, (100, 100))
    assert small.startswith("small_target_face: ")
    assert small.endswith("; use a larger box or picture, or face_pass=auto")
    assert notes(target_keypoints(SOURCE, FaceTarget("fit"), SQUARE), SQUARE) == []


def test_the_drawing_has_the_points_where_the_points_are():
    points = target_keypoints(SOURCE, FaceTarget("place", BOX, angle_deg=-25.0), STANDING)
    picture = draw(points, STANDING)
    assert picture.shape == (1216, 832, 3)
    for number, color in enumerate(COLORS):
        down, across = np.nonzero((picture == color).all(-1))
        assert np.abs([across.mean(), down.mean()] - points[number]).max() < 1


def test_the_circles_do_not_grow_with_the_picture():
    for size in (SQUARE, (2048, 2048)):
        picture = draw(target_keypoints(SOURCE, FaceTarget("fit"), size), size)
        assert 300 < (picture == COLORS[0]).all(-1).sum() < 340


def test_points_that_are_no_numbers_are_not_drawn():
    for wrong in (np.nan, np.inf, 1e30):
        with pytest.raises(RowError) as caught:
            draw(np.full((5, 2), wrong), SQUARE)
        assert caught.value.code is Code.NO_FACE
    with pytest.raises(ValueError, match=r"not \[5, 2\]"):
        draw(np.zeros((4, 2)), SQUARE)
    assert not draw(np.full((5, 2), -9e5), (64, 64)).any()
    assert draw(np.array([[-9e5, -9e5], [9e5, 9e5], [32, 32], [-9e5, 9e5], [9e5, -9e5]]), (64, 64)).any()
