"""Columns of faces and product photos: a recipe lists them only where they change something, and may leave any out."""

from dataclasses import replace

import pytest

from idgen.errors import RunError
from idgen.recipes.recipe import AdapterSpec, Base, Control, FacePass, Recipe
from idgen.recipes.validation import check_recipe

OF_IDENTITY = [
    "controlnet_conditioning_scale", "face_pose_uri", "face_box", "face_keypoints", "face_angle_deg", "face_fit",
]  # fmt: skip
OF_INPAINT = ["mask_image_uri", "mask_mode", "paste_back", "control_inpaint_scale"]
IDENTITY, INPAINT = Control(name="identity", weights="/net"), Control(name="inpaint", weights="/net")
FULL = Recipe(
    name="full",
    base=Base(kind="sdxl"),
    adapters=[AdapterSpec(name="instantid", kind="instantid", weights="/w")],
    controls=[IDENTITY, INPAINT],
    columns=[*OF_IDENTITY, *OF_INPAINT, "init_image_uri", "face_pass", "control_guidance_start"],
    face_pass=FacePass(),
)
FACEID = replace(FULL, base=Base(), adapters=[AdapterSpec(name="faceid", weights="/w")], controls=[])


def test_a_recipe_with_both_nets_may_list_them_all_and_leave_any_out():
    check_recipe(FULL)
    for column in FULL.columns:
        if column != "init_image_uri":  # what the control inpaint is shown
            check_recipe(replace(FULL, columns=[name for name in FULL.columns if name != column]))


@pytest.mark.parametrize("column", OF_IDENTITY)
def test_what_only_identity_reads_is_no_column_of_other_recipes(column):
    with pytest.raises(RunError, match=f"column {column} has no effect without a control identity"):
        check_recipe(replace(FACEID, columns=[column]))


@pytest.mark.parametrize("column", OF_INPAINT)
def test_what_only_inpaint_reads_is_no_column_of_other_recipes(column):
    with pytest.raises(RunError, match=f"column {column} has no effect without a control inpaint"):
        check_recipe(replace(FACEID, columns=["init_image_uri", column]))


def test_the_face_pass_needs_its_settings_and_an_adapter_that_knows_the_face():
    check_recipe(replace(FACEID, columns=["face_pass"]))
    picture = AdapterSpec(name="plus", kind="ip_adapter_plus", weights="/w", image_encoder="/clip")
    for recipe in (replace(FACEID, face_pass=None), replace(FACEID, adapters=[picture])):
        with pytest.raises(RunError, match="column face_pass has no effect without face_pass settings"):
            check_recipe(replace(recipe, columns=["face_pass"]))


@pytest.mark.parametrize("control", [IDENTITY, INPAINT])
def test_any_net_has_a_beginning_and_an_end(control):
    check_recipe(replace(FULL, controls=[IDENTITY] if control is IDENTITY else [IDENTITY, INPAINT],
                         columns=["init_image_uri", "control_guidance_start", "control_guidance_end"]))  # fmt: skip
    with pytest.raises(RunError, match="control_guidance_end has no effect without a control"):
        check_recipe(replace(FACEID, columns=["control_guidance_end"]))
