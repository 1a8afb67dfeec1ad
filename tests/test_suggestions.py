"""What was probably meant."""

import pytest

from idgen.suggestions import suggestion, unknown_recipe

NAMES = ["faceid-sd15", "faceid-sdxl", "faceid-sd15@lcm", "faceid-sdxl@turbo", "faceid-sdxl@lightning", "plain"]
SHOP = ["shop@turbo-b", "shop@turbo-a", *(f"shop@lightning-{n}step" for n in (8, 4, 2, 6)), "shop@lightning-4step-lora"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("faceid-sd1.5", "did you mean faceid-sd15?"),
        ("xyz", "`jobs/weights.py list` shows all 3"),
        ("faceid-sdxl@turb", "did you mean faceid-sdxl@turbo?"),
        ("faceid-sdxl@lcm", "faceid-sdxl works with the bases lightning, turbo"),
        ("faceid-sdxl@xyz", "faceid-sdxl works with the bases lightning, turbo"),
        ("shop@lightening", "did you mean shop@lightning-2step, shop@lightning-4step or shop@lightning-6step?"),
        ("shop@turob", "did you mean shop@turbo-a or shop@turbo-b?"),
        ("plain@lcm", "no base works with plain"),
        ("a canary prompt " * 300, "`jobs/weights.py list` shows all 3"),
        ("", "`jobs/weights.py list` shows all 3"),
    ],
)
def test_an_unknown_recipe_is_told_what_was_probably_meant(name, says):
    assert unknown_recipe(name, [*NAMES, *(SHOP if name.startswith("shop") else ())]) == says


def test_a_message_goes_on_with_the_nearest_name_or_all():
    assert suggestion("plane", NAMES) == ", did you mean 'plain'?"
    assert suggestion("faceid@x", ["faceid@b", "faceid@a"]) == ", did you mean 'faceid@a' or 'faceid@b'?"
    assert suggestion("xyz", ["b", "a"]) == "; there are: a, b"
