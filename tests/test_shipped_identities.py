"""The recipes of InstantID, PuLID and EcomID that come with the project: right by what their authors published."""

import pytest
from doubles.shipped import BASES, BOOK, IDENTITY

from idgen.columns import NETS
from idgen.recipes.schedulers import SCHEDULERS

WITH_POINTS = [name for name in IDENTITY if any(control.name == "identity" for control in BOOK[name].controls)]


def test_identity_recipes_ask_for_what_their_authors_do():
    facts = {
        name: (
            made.ip_adapter_scale,
            made.num_inference_steps,
            made.guidance_scale,
            made.scheduler,
            made.width,
            made.height,
        )
        for name in IDENTITY
        for made in [BOOK[name].defaults]
    }
    advanced, instantid = (0.8, 25, 6.0, "kdpm2_karras", 1024, 1024), (0.8, 30, 5.0, "euler", 1016, 1016)
    assert facts == {
        "ecomid": advanced,
        "ecomid-inpaint": advanced,
        "ecomid-inpaint-softedge": advanced,
        "ecomid-softedge": advanced,
        "ecomid-workflow": (0.3, 25, 3.5, "kdpm2_karras", 1024, 1024),
        "instantid": instantid,
        "instantid-controls": instantid,
        "pulid-v1": (0.8, 25, 7.0, "dpmpp_2m_karras", 768, 1024),
        "pulid-v1.1": (0.8, 25, 7.0, "dpmpp_2m_karras", 896, 1152),
    }
    karras = {"use_karras_sigmas": True, "use_beta_sigmas": False, "use_exponential_sigmas": False}
    assert SCHEDULERS["kdpm2_karras"].settings == {**karras, "timestep_spacing": "linspace"}
    assert {BOOK[name].timestep_spacing for name in IDENTITY} == {""}
    app = BOOK["pulid-v1@sdxl-lightning-4step-guided"]
    assert (app.defaults.guidance_scale, app.defaults.scheduler, app.timestep_spacing) == (1.2, "dpmpp_2m", "trailing")
    assert (app.base.steps, app.base.unet) == ([4], BOOK["pulid-v1@sdxl-lightning-4step"].base.unet)


@pytest.mark.parametrize("name", IDENTITY)
def test_an_identity_recipe_loads_what_its_authors_load(name):
    recipe = BOOK[name]
    (adapter,) = recipe.adapters
    assert (recipe.face_pack.weights, recipe.face_pack.det_size_px) == ("antelopev2", 640)
    assert "antelopev2" in recipe.licence.note
    assert (adapter.context_weights == "InstantX/InstantID:ip-adapter.bin") == (adapter.kind == "ecomid")
    if adapter.kind in ("ecomid", "instantid"):
        assert "research purposes only" in " ".join(recipe.licence.note.split())
    nets = {control.name: control for control in recipe.controls}
    scales = {net: control.scale for net, control in nets.items()}
    assert list(nets) == [net for net in NETS if net in nets]
    wanted = {"identity": 0.8} if name in WITH_POINTS else {}
    wanted |= {"inpaint": 0.5} if "inpaint" in name else {}
    wanted |= {"softedge": 0.6} if "softedge" in name else {}
    wanted |= dict.fromkeys(("pose", "depth", "canny"), 0.4) if name == "instantid-controls" else {}
    assert scales == wanted
    assert all(control.context == "text" for net, control in nets.items() if net != "identity")
    if "ecomid" in name:
        assert nets["identity"].weights.startswith("alimama-creative/SDXL-EcomID")
        assert nets["identity"].config == "InstantX/InstantID:ControlNetModel"
    product = (recipe.defaults.mask_mode, recipe.defaults.paste_back)
    assert product == (("keep_white", True) if "inpaint" in name else ("repaint_white", False))


@pytest.mark.parametrize("name", IDENTITY)
def test_the_face_pass_samples_as_the_base_wants_it(name):
    own = BOOK[name].face_pass
    assert (own.below_px, own.side_px, own.strength) == (512, 1024, 0.4)
    assert own.strength * own.num_inference_steps == 20, "what FaceDetailer runs"
    if name in WITH_POINTS:
        assert (own.guidance_scale, own.ip_adapter_scale, own.controlnet_conditioning_scale) == (5.0, 0.5, 0.8)
    for base in BASES:
        made = BOOK.get(f"{name}@{base}")
        if made is None:
            continue
        again = made.face_pass
        assert again.scheduler in SCHEDULERS
        assert again.num_inference_steps * again.strength >= 1
        assert again.below_px <= again.side_px <= made.max_side_px
        if made.base.steps:
            steps = (again.num_inference_steps, again.guidance_scale, again.scheduler)
            asked = made.defaults
            assert steps == (asked.num_inference_steps, asked.guidance_scale, asked.scheduler)
