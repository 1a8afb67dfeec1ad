"""The recipes and bases that come with the project: right by what the authors' files are."""

import re
from pathlib import Path

import pytest
from doubles.shipped import BASES, BOOK, FACES, IDENTITY, PLAIN

from idgen.columns import TOLD_SIZES
from idgen.config import Config
from idgen.recipes.book import load_recipes
from idgen.recipes.families import FAMILIES
from idgen.recipes.schedulers import SCHEDULERS
from idgen.recipes.variants import VARIANTS, needs
from idgen.weights import needs_face_pack, parts
from idgen.weights.locations import hub_place

ROOT = Path(__file__).parents[2]
BIG_G = ("ip-adapter_sdxl.safetensors", "ip-adapter_sd15_vit-G.safetensors")
KINDS = {
    "ip-adapter_": "ip_adapter", "ip-adapter-plus_": "ip_adapter_plus", "ip-adapter-plus-face_": "ip_adapter_plus_face",
    "ip-adapter-full-face_": "ip_adapter_full_face", "ip-adapter-faceid_": "faceid",
    "ip-adapter-faceid-plus_": "faceid_plus", "ip-adapter-faceid-plusv2_": "faceid_plusv2",
    "ip-adapter-faceid-portrait_": "faceid_portrait", "ip-adapter-faceid-portrait-v11_": "faceid_portrait",
    "ipa-faceid-plus.": "kolors_faceid_plus", "ip_adapter_plus_general.": "kolors_ip_adapter_plus",
    "ip-adapter.bin": "instantid", "pulid_v1.bin": "pulid_v1", "pulid_v1.1.": "pulid_v1_1",
    "ip-adapter_pulid_sdxl": "ecomid",
}  # fmt: skip
KOLORS = sorted(name for name in PLAIN if BOOK[name].base.kind == "kolors")
NO_TEXT_NEEDED = {"ip_adapter", "ip_adapter_plus", "ip_adapter_plus_face", "ip_adapter_full_face"}


def file_name(spec):
    return spec.weights.partition(":")[2].rpartition("/")[2]


def test_every_file_of_the_family_has_a_recipe():
    files = {file_name(spec) for name in PLAIN for spec in BOOK[name].adapters}
    assert len(files) == 22 + 4
    assert {spec.kind for name in PLAIN for spec in BOOK[name].adapters} == VARIANTS.keys()


@pytest.mark.parametrize("name", PLAIN)
def test_the_kind_is_what_the_file_s_name_says(name):
    for spec in BOOK[name].adapters:
        file = file_name(spec)
        kind = KINDS[max((beginning for beginning in KINDS if file.startswith(beginning)), key=len)]
        unnorm = "_unnorm" if file.endswith("_unnorm.bin") else ""
        assert spec.kind == kind + unnorm
        family = (
            "kolors" if spec.kind.startswith("kolors_") else "sdxl" if "sdxl" in file or spec.kind in FACES else "sd15"
        )
        assert BOOK[name].base.kind == family


@pytest.mark.parametrize("name", PLAIN)
def test_each_file_goes_with_the_image_encoder_it_was_trained_on(name):
    for spec in BOOK[name].adapters:
        if BOOK[name].base.kind == "kolors":  # each repository brings its own
            repository, _, folder = spec.image_encoder.partition(":")
            assert repository == spec.weights.partition(":")[0]
            assert folder == {"faceid": "clip-vit-large-patch14-336", "picture": "image_encoder"}[spec.name]
            continue
        looks = VARIANTS[spec.kind].picture is not None
        if spec.kind in FACES:
            assert spec.image_encoder == ("QuanSun/EVA-CLIP:EVA02_CLIP_L_336_psz14_s6B.pt" if looks else "")
            assert spec.face_parser.endswith(":parsing_bisenet.pth") == looks
            continue
        wanted = f"{'sdxl_models' if file_name(spec) in BIG_G else 'models'}/image_encoder" if looks else ""
        assert spec.image_encoder.partition(":")[2] == wanted


@pytest.mark.parametrize("name", PLAIN)
def test_licences_are_the_strictest_of_what_is_loaded(name):
    recipe = BOOK[name]
    assert recipe.licence.name != "unknown"
    assert recipe.licence.note
    assert recipe.licence.commercial_use == (not needs_face_pack(recipe))
    assert recipe.licence.registration == (["Kwai-Kolors"] if name in KOLORS else [])


@pytest.mark.parametrize("name", PLAIN)
def test_a_recipe_offers_the_columns_its_parts_have_a_use_for(name):
    recipe, variants = BOOK[name], [VARIANTS[spec.kind] for spec in BOOK[name].adapters]
    wanted = {
        "ip_adapter_scale": bool(variants), "init_image_uri": True, "strength": True,
        "ip_adapter_scales": len(variants) > 1, "lora_scale": any(variant.lora for variant in variants),
        "shortcut_scale": any(spec.kind == "faceid_plusv2" for spec in recipe.adapters),
        "ip_adapter_image_uri": needs(recipe).picture_prompt,
        "reference_mask_uri": any(spec.kind == "ip_adapter_full_face" for spec in recipe.adapters),
        "control_guidance_start": bool(recipe.controls), "control_guidance_end": bool(recipe.controls),
    }  # fmt: skip
    nets = {control.name for control in recipe.controls}
    wanted |= {f"control_{net}_{part}": True for net in nets - {"identity", "inpaint"} for part in ("uri", "scale")}
    points = ("face_pose_uri", "face_box", "face_keypoints", "face_angle_deg", "face_fit")
    wanted |= dict.fromkeys((*points, "controlnet_conditioning_scale"), "identity" in nets)
    product = ("mask_image_uri", "mask_mode", "paste_back", "control_inpaint_scale")
    wanted |= dict.fromkeys(product, "inpaint" in nets) | {"face_pass": name in IDENTITY}
    wanted |= dict.fromkeys(TOLD_SIZES, recipe.base.kind != "sd15")
    assert set(recipe.columns) == {column for column, useful in wanted.items() if useful}
    kinds = {spec.kind for spec in recipe.adapters}
    assert recipe.prompt_required == (not kinds or not kinds <= NO_TEXT_NEEDED)
    assert recipe.prompt_required or recipe.defaults.prompt


def test_kolors_recipes_ask_for_what_their_authors_samples_do():
    assert KOLORS == [
        "kolors", "kolors-faceid-plus", "kolors-faceid-plus-style", "kolors-img2img", "kolors-ip-adapter-plus"
    ]  # fmt: skip
    for name in KOLORS:
        recipe = BOOK[name]
        asked = recipe.defaults
        assert (asked.guidance_scale, asked.scheduler, recipe.timestep_spacing) == (5.0, "euler", "leading")
        assert (asked.width, asked.height, asked.negative_prompt) == (1024, 1024, "")
        assert asked.num_inference_steps == (25 if "faceid" in name else 50)
        assert recipe.base.weights == FAMILIES["kolors"].diffusers_layout
        assert (recipe.base.dtype, recipe.base.vae_dtype, recipe.base.text_ahead) == ("float16", "float32", True)
        if needs_face_pack(recipe):
            assert (recipe.face_pack.weights, recipe.face_pack.det_size_px) == ("antelopev2", 640)
            assert "antelopev2" in recipe.licence.note
    assert BOOK["kolors-img2img"].defaults.strength == 0.3
    assert BOOK["kolors-ip-adapter-plus"].defaults.ip_adapter_scale == 0.5
    assert BOOK["kolors-faceid-plus"].defaults.ip_adapter_scale == 0.8
    both = BOOK["kolors-faceid-plus-style"]
    assert [spec.weights for spec in both.adapters] == [
        BOOK[name].adapters[0].weights for name in ("kolors-faceid-plus", "kolors-ip-adapter-plus")
    ]
    assert (both.defaults.ip_adapter_scale, both.defaults.ip_adapter_scales) == (0.8, {"picture": 0.5})


def test_both_families_have_controls_and_a_recipe_with_two_adapters():
    for family in ("sd15", "sdxl"):
        mine = [BOOK[name] for name in PLAIN if BOOK[name].base.kind == family]
        assert any({control.name for control in recipe.controls} >= {"pose", "depth", "canny"} for recipe in mine)
        (both,) = (recipe for recipe in mine if len(recipe.adapters) == 2)
        assert both.defaults.ip_adapter_scales.keys() == {both.adapters[1].name}


@pytest.mark.parametrize("name", PLAIN)
def test_every_pair_of_recipe_and_base_can_make_its_default_picture(name):
    bases = [base for base in BASES if f"{name}@{base}" in BOOK]
    assert bool(bases) == (name not in KOLORS)
    for made in (BOOK[name], *(BOOK[f"{name}@{base}"] for base in bases)):
        defaults, base = made.defaults, made.base
        assert defaults.scheduler in SCHEDULERS
        assert not base.steps or defaults.num_inference_steps in base.steps
        assert 1 <= defaults.num_inference_steps <= SCHEDULERS[defaults.scheduler].max_steps
        for side in (defaults.width, defaults.height):
            assert side % made.size_multiple_px == 0
            assert 256 <= side <= made.max_side_px
        assert base.vae_dtype == "float32"
        assert not (made.licence.commercial_use and not BOOK[name].licence.commercial_use)
        assert made.seconds_per_picture > 0
        for part in parts(made):
            pack = part.kind == "face_pack" and part.location in ("buffalo_l", "antelopev2")
            assert hub_place(part.location) is not None or pack
        if needs_face_pack(made):
            assert hub_place(made.face_pack.archive).path.endswith(f"{made.face_pack.weights}.zip")


def test_distilled_bases_are_asked_for_their_own_steps_without_guidance():
    for steps in (2, 4, 8):
        base = f"sdxl-lightning-{steps}step"
        made = BOOK[f"faceid-sdxl@{base}"]
        assert (made.base.steps, made.defaults.guidance_scale, made.defaults.scheduler) == ([steps], 0.0, "lightning")
        assert f"_{steps}step_unet" in made.base.unet
    lora = BOOK["faceid-sdxl@sdxl-lightning-4step-lora"].base
    assert (lora.steps, lora.unet, len(lora.loras)) == ([4], "", 1)
    turbo = BOOK["ip-adapter-sdxl@sdxl-turbo"]
    assert (turbo.defaults.width, turbo.defaults.height, turbo.licence.commercial_use) == (512, 512, False)
    assert all(BOOK[f"faceid-{family}@{family}-lcm"].defaults.scheduler == "lcm" for family in ("sd15", "sdxl"))


def test_a_recipe_s_own_spacing_does_not_follow_it_to_a_distilled_base():
    book = load_recipes(Config(overrides={"faceid-sdxl": {"timestep_spacing": "linspace"}}))
    distilled = [base for base in BASES if base.startswith(("sdxl-lightning", "sdxl-turbo"))]
    assert len(distilled) == 6
    assert {book[f"faceid-sdxl@{base}"].timestep_spacing for base in distilled} == {"trailing"}
    assert book["faceid-sdxl@sdxl"].timestep_spacing == "linspace"


def test_no_recipe_names_a_host():
    for path in [*(ROOT / "configs").rglob("*.yaml"), *(ROOT / "manifests" / "examples").iterdir()]:
        assert not re.search(r"https?://|\.co\b|\.com\b", path.read_text().replace("example.com", "")), path


def test_the_page_of_the_recipes_has_a_line_for_every_file_and_base():
    text = (ROOT / "configs" / "README.md").read_text()
    named = set(re.findall(r"`([a-z0-9.-]+)`", text))
    controls = {name for name in PLAIN if name.endswith("-controls")}
    assert set(PLAIN) - controls <= named
    assert len(controls) == 5  # as the page counts
    assert set(BASES) <= named
