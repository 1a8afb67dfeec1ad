"""The table of SDXL's sizes is the paper's."""

import pytest

from idgen.recipes.sizes import SDXL_SIZES, nearest_size


def test_forty_sizes_in_steps_of_64_of_about_a_megapixel_from_wide_to_tall():
    assert len(set(SDXL_SIZES)) == 40
    assert all(side % 64 == 0 for size in SDXL_SIZES for side in size)
    assert all(0.88 < width * height / 1024**2 <= 1.0 for width, height in SDXL_SIZES)
    assert list(SDXL_SIZES) == sorted(SDXL_SIZES, key=lambda size: size[1] / size[0])
    assert {(height, width) for width, height in SDXL_SIZES} ^ set(SDXL_SIZES) == {(1344, 704), (704, 1344)}


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ((1000, 1000), (1024, 1024)),
        ((3, 4), (896, 1152)),
        ((16, 9), (1344, 768)),
        ((2, 3), (832, 1216)),
        ((1, 9), (512, 2048)),
        ((9, 1), (2048, 512)),
    ],
)
def test_the_nearest_size_has_the_nearest_shape(asked, found):
    assert nearest_size(*asked) == found


def test_every_trained_size_is_its_own_nearest():
    assert all(nearest_size(*size) == size for size in SDXL_SIZES)
    with pytest.raises(ValueError, match="not possible"):
        nearest_size(0, 5)
