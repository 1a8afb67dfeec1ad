"""Two pictures by a mask: kept is bit-equal, made anew is untouched, grey is a weight."""

from fractions import Fraction

import numpy as np
import pytest

from idgen.sampling.pasting import paste_back


def noise(seed, *shape):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def test_what_the_mask_keeps_is_bit_equal_and_what_it_makes_anew_is_untouched():
    picture, init, mask = noise(1, 40, 30, 3), noise(2, 40, 30, 3), noise(3, 40, 30)
    mask[:10], mask[10:20] = 0, 255
    out = paste_back(picture, init, mask)
    assert out.dtype == np.uint8
    assert np.array_equal(out[:10], init[:10])
    assert np.array_equal(out[10:20], picture[10:20])
    assert not np.array_equal(out[20:], picture[20:])
    assert not np.array_equal(out[20:], init[20:])


def test_grey_is_the_weight_rounded_to_the_nearest_for_every_weight_and_pair_of_values():
    values = np.array([0, 1, 2, 3, 100, 127, 128, 200, 254, 255], np.uint8)
    init, picture = (grid.repeat(3).reshape(10, 10, 3) for grid in np.meshgrid(values, values))
    for weight in range(256):
        out = paste_back(picture, init, np.full((10, 10), weight, np.uint8))
        for y, x in np.ndindex(10, 10):
            exact = Fraction(weight * int(picture[y, x, 0]) + (255 - weight) * int(init[y, x, 0]), 255)
            assert abs(out[y, x, 0] - exact) < Fraction(1, 2), (weight, y, x)


def test_equal_pictures_stay_as_they_are_under_any_mask():
    picture = noise(1, 40, 30, 3)
    assert np.array_equal(paste_back(picture, picture, noise(3, 40, 30)), picture)


def test_the_inputs_are_not_written_to():
    arrays = [noise(1, 8, 8, 3), noise(2, 8, 8, 3), noise(3, 8, 8)]
    for array in arrays:
        array.flags.writeable = False
    paste_back(*arrays)


@pytest.mark.parametrize(("init", "mask"), [((8, 9, 3), (8, 8)), ((8, 8, 3), (9, 8))])
def test_other_sizes_are_refused_not_stretched(init, mask):
    with pytest.raises(ValueError, match="picture"):
        paste_back(noise(1, 8, 8, 3), noise(2, *init), noise(3, *mask))
