"""Ready-made maps that were made otherwise than nets expect them: said, or put right."""

import numpy as np
import pytest

from idgen.sources.control_maps import lines_on_nothing, map_notes


def lines(ground, line):
    """A map of thin lines, as the public one of a bug report: 2 % of it."""
    made = np.full((256, 256, 3), ground, np.uint8)
    made[40:42, 20:230] = made[60:220, 100:102] = line
    return made


def codes(rgb, kind):
    return [note.partition(":")[0] for note in map_notes(rgb, kind)]


@pytest.mark.parametrize("kind", ["canny", "softedge", "pose"])
def test_a_map_on_a_bright_ground_is_said_to_be_inverted(kind):
    assert codes(lines(255, 0), kind) == ["control_map_inverted"]
    assert codes(lines(0, 255), kind) == []


def test_a_depth_map_may_be_bright_nearly_all_over():
    near = np.linspace(120, 255, 256, dtype=np.uint8)
    assert codes(np.repeat(np.tile(near, (256, 1))[..., None], 3, 2), "depth") == []


@pytest.mark.parametrize("kind", ["canny", "softedge", "pose", "depth"])
@pytest.mark.parametrize("grey", [0, 128, 255])
def test_a_map_of_one_colour_is_said_to_be_blank_and_nothing_else(kind, grey):
    noise = np.random.default_rng(1).integers(0, 4, (64, 64, 3)).astype(np.uint8)
    assert codes(np.clip(noise.astype(int) + grey - 2, 0, 255).astype(np.uint8), kind) == ["control_map_blank"]


@pytest.mark.parametrize("kind", ["canny", "softedge"])
def test_dark_lines_on_nothing_become_white_lines_on_black(kind):
    alpha = lines(0, 255)[..., 0]
    shown_on_black = np.zeros((256, 256, 3), np.uint8)
    assert np.array_equal(lines_on_nothing(shown_on_black, alpha, kind), lines(0, 255))


def test_grey_lines_and_a_stray_coloured_pixel_are_dark_lines_too():
    alpha = lines(0, 255)[..., 0]
    grey = np.where(alpha[..., None] > 0, np.uint8(68), np.uint8(0)).repeat(3, 2)
    grey[40, 30] = (255, 0, 0)
    assert np.array_equal(lines_on_nothing(grey, alpha, "canny"), lines(0, 255))


def test_other_transparent_maps_stay_as_they_are():
    alpha = lines(0, 255)[..., 0]
    assert lines_on_nothing(lines(0, 255), alpha, "canny") is None  # white lines on nothing
    assert lines_on_nothing(np.zeros((256, 256, 3), np.uint8), 255 - alpha, "canny") is None  # a black picture
    assert lines_on_nothing(np.zeros((256, 256, 3), np.uint8), alpha, "depth") is None
