"""Points that make no face are refused per row; every real face comes out upright."""

import numpy as np
import pytest

from idgen.errors import Code, RowError
from idgen.faces.alignment import BORDER_RGB, SIDE_PX, TEMPLATE, affine, align, check, spread_px

PHOTO = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
FACE = TEMPLATE / 4 + [60, 20]


def moved(points, degrees, scale, to):
    """The points turned clockwise about their middle, scaled, with their middle at `to`."""
    numbers = (points - points.mean(0)) @ [1, 1j] * scale * np.exp(1j * np.deg2rad(degrees))
    return np.stack([numbers.real, numbers.imag], 1) + to


def refusal(points, **more) -> RowError:
    with pytest.raises(RowError) as caught:
        check(points, **more)
    return caught.value


@pytest.mark.parametrize("degrees", [-170, -30, 0, 25, 90, 180])
@pytest.mark.parametrize("scale", [0.1, 0.5, 3.0])
def test_every_turned_and_scaled_face_lands_on_the_template(degrees, scale):
    points = moved(TEMPLATE, degrees, scale, [200.0, 150.0])
    matrix = affine(points)
    assert np.abs(points @ matrix[:, :2].T + matrix[:, 2] - TEMPLATE).max() < 0.05
    assert abs(np.linalg.det(matrix[:, :2]) - scale**-2) < 1e-3 * scale**-2


def test_a_crop_is_the_photo_through_the_matrix_with_a_gray_border():
    crop = align(PHOTO, np.add(FACE, [-100, 0]))
    assert crop.shape == (SIDE_PX, SIDE_PX, 3)
    assert tuple(crop[0, 0]) == BORDER_RGB
    assert np.array_equal(align(PHOTO, FACE), align(PHOTO.copy(), FACE.astype(np.float32)))


def test_the_same_crop_comes_out_every_time():
    noisy = FACE + np.random.default_rng(1).normal(0, 3, (5, 2))
    assert all(np.array_equal(align(PHOTO, noisy), align(PHOTO, noisy)) for _ in range(5))


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_points_that_are_no_numbers_are_refused(wrong):
    points = FACE.copy()
    points[2, 1] = wrong
    for call in (check, affine, lambda one: align(PHOTO, one)):
        with pytest.raises(RowError, match="not all of them are numbers") as caught:
            call(points)
        assert caught.value.code is Code.NO_FACE
        assert not caught.value.retriable


def test_points_in_one_place_are_refused():
    for points in (np.full((5, 2), 30.0), moved(TEMPLATE, 10, 0.005, [9.0, 9.0])):
        for call in (check, affine):
            with pytest.raises(RowError, match="in the same place") as caught:
                call(points)
            assert caught.value.code is Code.NO_FACE


@pytest.mark.parametrize("degrees", [0, 40, 180])
def test_mirrored_points_are_refused_in_every_direction(degrees):
    for mirrored in (FACE * [-1, 1] + [400, 0], FACE[[1, 0, 2, 4, 3]]):
        error = refusal(moved(mirrored, degrees, 1.0, [200, 150]))
        assert error.code is Code.NO_FACE
        assert "left and right are swapped" in error.detail


@pytest.mark.parametrize("side", [-1, 1])
@pytest.mark.parametrize("crossed", [0.0, 0.05, 0.1])
def test_a_profile_is_no_mirrored_face_even_when_its_points_cross_a_little(side, crossed):
    upright = FACE - FACE.mean(0)
    profile = upright * [-crossed, 1]
    profile[2, 0] = side * 20.0  # the nose, far out
    profile += np.array([200, 150])
    check(profile)
    align(PHOTO, profile)


def test_one_point_far_off_is_a_face_still_and_is_dropped():
    points = FACE.copy()
    points[2] += [15, -9]
    assert np.abs(affine(points) - affine(FACE)).max() < 0.05


def test_whose_points_and_the_code_are_the_callers():
    error = refusal(np.zeros((5, 2)), code=Code.BAD_VALUE, whose="face_keypoints")
    assert error.code is Code.BAD_VALUE
    assert error.detail == "face_keypoints: all of them are in the same place"
    with pytest.raises(ValueError, match=r"not \[5, 2\]"):
        check(np.zeros((4, 2)))


def test_the_spread_is_the_templates_at_its_size():
    assert spread_px(FACE) == pytest.approx(spread_px(TEMPLATE) / 4)
    assert 60 < spread_px(TEMPLATE) < 90
