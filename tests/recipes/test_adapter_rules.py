"""What is wrong with a recipe's adapters is said when it is read: InstantID, PuLID and EcomID."""

from dataclasses import replace

import pytest

from idgen.errors import Exit, RunError
from idgen.recipes.recipe import AdapterSpec, Base, Control, Recipe
from idgen.recipes.validation import check_recipe

SDXL = Base(kind="sdxl")
PULID = AdapterSpec(name="p", kind="pulid_v1", image_encoder="/eva", face_parser="/parser")
V1_1 = replace(PULID, kind="pulid_v1_1")
ECOMID = replace(PULID, name="e", kind="ecomid", context_weights="/instantid")
INSTANTID = AdapterSpec(name="i", kind="instantid")
FACEID = AdapterSpec(name="f", kind="faceid")
IDENTITY = Control(name="identity")
FACE_POSE = Control(name="pose", context="face")


def recipe(*adapters: AdapterSpec, controls=(), base: Base = SDXL) -> Recipe:
    columns = [f"control_{one.name}_uri" for one in controls if one.name == "pose"]
    return Recipe(base=base, adapters=list(adapters), controls=list(controls), columns=columns)


@pytest.mark.parametrize(
    "sound",
    [
        recipe(INSTANTID),
        recipe(INSTANTID, controls=[IDENTITY, replace(FACE_POSE, context="")]),
        recipe(INSTANTID, controls=[FACE_POSE]),
        recipe(PULID, INSTANTID, controls=[IDENTITY]),
        recipe(PULID, replace(V1_1, name="v1.1")),
        recipe(replace(PULID, combine="ortho_v2", attn_mean="global", num_zero=0, antialias=False, references="all")),
        recipe(replace(PULID, attn_mean="global")),
        recipe(replace(V1_1, combine="add", num_zero=8)),
        recipe(ECOMID, controls=[IDENTITY, FACE_POSE]),
        recipe(ECOMID, FACEID, controls=[IDENTITY]),
    ],
)
def test_a_sound_recipe_of_these_passes(sound):
    check_recipe(sound)


@pytest.mark.parametrize(
    ("faulty", "says"),
    [
        (recipe(replace(PULID, image_encoder="")), "adapter p: pulid_v1 needs an image_encoder"),
        (recipe(replace(V1_1, face_parser="")), "adapter p: pulid_v1_1 needs a face_parser"),
        (
            recipe(replace(ECOMID, context_weights=""), controls=[IDENTITY]),
            "adapter e: ecomid needs context_weights, InstantID's ip-adapter.bin",
        ),
        (recipe(replace(PULID, context_weights="/x")), "pulid_v1 does not take context_weights, only ecomid does"),
        (recipe(replace(INSTANTID, context_weights="/x")), "instantid does not take context_weights"),
        (recipe(replace(INSTANTID, image_encoder="/x")), "instantid does not take an image_encoder"),
        (recipe(replace(FACEID, face_parser="/x")), "adapter f: faceid does not take face_parser"),
        (recipe(replace(INSTANTID, combine="add")), "instantid does not take combine"),
        (recipe(replace(FACEID, attn_mean="query")), "faceid does not take attn_mean"),
        (recipe(replace(FACEID, num_zero=0)), "faceid does not take num_zero"),
        (recipe(replace(FACEID, antialias=False)), "faceid does not take antialias"),
        (recipe(replace(FACEID, references="mean")), "faceid does not take references"),
        (recipe(replace(PULID, clip_fit="pad")), "pulid_v1 does not take clip_fit"),
        (recipe(replace(PULID, face_crop_color="bgr")), "pulid_v1 does not take face_crop_color"),
        (recipe(replace(V1_1, references="first")), "pulid_v1_1 does not take references: it uses all"),
        (
            recipe(replace(PULID, combine="ortho", attn_mean="query")),
            "attn_mean works with combine ortho_v2, not with ortho",
        ),
        (recipe(replace(PULID, num_zero=-1)), "num_zero must be 0 or more"),
        (recipe(PULID, base=Base()), "pulid_v1 is made for SDXL, but the recipe's base is sd15"),
        (recipe(INSTANTID, base=Base(kind="kolors")), "instantid is made for SDXL, but the recipe's base is kolors"),
        (
            recipe(FACEID, base=Base(kind="kolors")),
            "faceid is made for SD 1.5 and SDXL, but the recipe's base is kolors",
        ),
        (recipe(ECOMID), "adapter e: ecomid needs the control identity; without it use pulid_v1"),
        (recipe(ECOMID, controls=[FACE_POSE]), "ecomid needs the control identity"),
        (
            recipe(PULID, controls=[IDENTITY]),
            "controls: identity needs the face tokens of exactly one adapter of kind instantid or ecomid, but "
            "there is none",
        ),
        (recipe(FACEID, controls=[FACE_POSE]), "controls: pose needs the face tokens"),
        (recipe(INSTANTID, ECOMID, controls=[IDENTITY]), "there are several: i, e"),
    ],
)
def test_a_recipe_of_these_that_contradicts_itself_is_refused_with_the_setting(faulty, says):
    with pytest.raises(RunError) as caught:
        check_recipe(faulty)
    assert caught.value.exit_code == Exit.USAGE
    assert says in caught.value.message
