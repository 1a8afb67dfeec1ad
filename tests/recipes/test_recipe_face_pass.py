"""A face pass that could not be sampled is said when the recipe is read, not by every row."""

from dataclasses import replace

import pytest

from idgen.errors import RunError
from idgen.recipes.face_pass import faults
from idgen.recipes.recipe import Base, FacePass, Recipe
from idgen.recipes.validation import check_recipe

RECIPE = Recipe(base=Base(kind="sdxl"), max_side_px=2048, size_multiple_px=64, face_pass=FacePass())


def test_the_default_is_sound_and_so_is_none():
    assert list(faults(RECIPE)) == []
    assert list(faults(replace(RECIPE, face_pass=None))) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"scheduler": "kdpm2_karas"},
            "face_pass.scheduler: there is no 'kdpm2_karas', did you mean 'kdpm2_karras'",
        ),
        ({"num_inference_steps": 5000}, "face_pass.num_inference_steps: kdpm2_karras allows at most"),
        ({"num_inference_steps": 0}, "face_pass.num_inference_steps: 0 must be 1 or more"),
        ({"strength": 0.0}, "face_pass.strength: 0 must be more than 0"),
        ({"strength": 1.5}, "face_pass.strength: 1.5 must be"),
        ({"num_inference_steps": 2}, "face_pass.strength: 0.4 leaves none of the 2 steps; give at least 0.5"),
        ({"side_px": 1000}, "face_pass.side_px: 1000 must be a multiple of 64, at most 2048"),
        ({"side_px": 4096}, "face_pass.side_px: 4096 must be"),
        ({"crop_scale": 0.5}, "face_pass.crop_scale: 0.5 would cut the face"),
        ({"crop_scale": float("nan")}, "face_pass.crop_scale: nan would cut the face"),
        ({"guidance_scale": -1.0}, "face_pass.guidance_scale: -1 must be 0 to 100"),
        ({"ip_adapter_scale": float("nan")}, "face_pass.ip_adapter_scale: nan must be 0 to 10"),
        ({"controlnet_conditioning_scale": 11.0}, "face_pass.controlnet_conditioning_scale: 11 must be 0 to 10"),
        ({"below_px": 0}, "face_pass.below_px: 0 must be 1 to side_px"),
        ({"below_px": 1025}, "face_pass.below_px: 1025 must be"),
    ],
)
def test_what_cannot_be_sampled_is_said_with_the_setting(change, words):
    (fault,) = faults(replace(RECIPE, face_pass=replace(FacePass(), **change)))
    assert fault.startswith(words)


def test_a_pass_that_is_the_default_of_a_recipe_whose_rows_cannot_have_it_is_said():
    asks = replace(RECIPE, defaults=replace(RECIPE.defaults, face_pass="auto"))
    assert list(faults(asks)) == ["defaults.face_pass: has no effect, because columns do not list face_pass"]
    assert list(faults(replace(asks, columns=["face_pass"]))) == []


def test_a_base_of_few_steps_keeps_its_steps_in_the_pass():
    few = replace(RECIPE, base=replace(RECIPE.base, steps=[4, 8]))
    (fault,) = faults(few)
    assert fault == "face_pass.num_inference_steps: 50 is not in base.steps [4, 8]"
    assert list(faults(replace(few, face_pass=FacePass(num_inference_steps=8)))) == []


def test_reading_a_recipe_checks_its_face_pass():
    with pytest.raises(RunError, match=r"recipe r: face_pass\.crop_scale"):
        check_recipe(replace(RECIPE, name="r", face_pass=FacePass(crop_scale=0.5)))
