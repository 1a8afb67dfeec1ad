"""What was probably meant."""

import pytest

from idgen.suggestions import suggestion, unknown_recipe

NAMES = ["faceid-sd15", "faceid-sdxl", "faceid-sd15@lcm", "faceid-sdxl@turbo", "faceid-sdxl@lightning", "plain"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("faceid-sd1.5", "did you mean faceid-sd15?"),
        ("xyz", "there are faceid-sd15, faceid-sdxl, plain"),
        ("faceid-sdxl@turb", "did you mean faceid-sdxl@turbo?"),
        ("faceid-sdxl@lcm", "faceid-sdxl goes with the bases lightning, turbo"),
        ("faceid-sdxl@xyz", "faceid-sdxl goes with the bases lightning, turbo"),
        ("plain@lcm", "no base goes with plain"),
        ("a canary prompt " * 300, "there are faceid-sd15, faceid-sdxl, plain"),
        ("", "there are faceid-sd15, faceid-sdxl, plain"),
    ],
)
def test_an_unknown_recipe_is_told_what_was_probably_meant(name, says):
    assert unknown_recipe(name, NAMES) == says


def test_a_message_goes_on_with_the_nearest_name_or_all():
    assert suggestion("plane", NAMES) == ", did you mean 'plain'?"
    assert suggestion("xyz", ["b", "a"]) == "; there are: a, b"
