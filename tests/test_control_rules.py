"""What recipes may say of nets that look at a face, and of the one for inpainting."""

from dataclasses import replace

import pytest

from idgen.errors import Exit, RunError
from idgen.recipes.recipe import AdapterSpec, Base, Control, Recipe
from idgen.recipes.validation import check_recipe

INSTANTID = AdapterSpec(name="instantid", kind="instantid")
FACEID = AdapterSpec(name="faceid")
IDENTITY = Control(name="identity", config="/settings")
INPAINT = Control(name="inpaint")
EDGES = Control(name="softedge", context="face")
SOUND = Recipe(
    base=Base(kind="sdxl"),
    adapters=[INSTANTID],
    controls=[IDENTITY, INPAINT, EDGES],
    columns=["init_image_uri", "mask_image_uri", "control_softedge_uri", "controlnet_conditioning_scale"],
)


def test_identity_inpaint_and_an_edge_net_that_looks_at_the_face_go_together():
    check_recipe(SOUND)
    check_recipe(replace(SOUND, controls=[replace(IDENTITY, context="face"), INPAINT, replace(EDGES, context="text")]))
    check_recipe(replace(SOUND, adapters=[INSTANTID, FACEID], controls=SOUND.controls[::-1]))


def test_without_identity_another_net_may_look_at_the_face():
    check_recipe(replace(SOUND, controls=[EDGES], columns=["control_softedge_uri"]))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"columns": ["control_softedge_uri"]},
            "control inpaint: no row can use it, because columns do not list init_image_uri",
        ),
        ({"controls": [replace(IDENTITY, context="text")]}, "control identity: it always reads the face tokens"),
        ({"base": Base()}, "instantid is made for SDXL"),
        ({"controls": [IDENTITY, replace(INPAINT, config="/c")]}, "control inpaint: config is only for nets that read"),
        ({"adapters": []}, "controls: identity needs the face tokens"),
        ({"adapters": [FACEID], "controls": [EDGES]}, "controls: softedge needs the face tokens"),
        ({"adapters": [INSTANTID, replace(INSTANTID, name="second")]}, "one adapter of kind instantid or ecomid"),
    ],
)
def test_what_cannot_work_is_said_with_the_control(changes, says):
    with pytest.raises(RunError) as caught:
        check_recipe(replace(SOUND, **changes))
    assert caught.value.exit_code == Exit.USAGE
    assert says in caught.value.message
