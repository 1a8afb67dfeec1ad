"""Images that a row brings besides its references: what may stand together, what parts buckets, what enters keys."""

import json
from dataclasses import replace

import numpy as np
import pytest
from planning import RECIPE, Desk, row
from test_keys import SIGNED, pictures

from idgen.errors import Code
from idgen.recipes.recipe import AdapterSpec, Base, Control, Defaults, Recipe
from idgen.recipes.validation import check_recipe

CLIP = "/w/clip"
PROMPT = Recipe(
    name="prompt",
    adapters=[AdapterSpec(name="plus", kind="ip_adapter_plus", image_encoder=CLIP)],
    controls=[Control(name="pose", scale=0.75), Control(name="depth", start=0.25, end=0.5)],
    columns=[
        "ip_adapter_image_uri", "init_image_uri", "strength", "control_pose_uri", "control_pose_scale",
        "control_depth_uri", "control_depth_scale", "control_guidance_start", "control_guidance_end",
    ],
    max_references=2,
)  # fmt: skip
FACE = Recipe(
    name="face",
    adapters=[AdapterSpec(name="face", kind="ip_adapter_full_face", image_encoder=CLIP)],
    columns=["ip_adapter_image_uri", "reference_mask_uri"],
    max_references=2,
)
STYLE = Recipe(
    name="style",
    adapters=[
        AdapterSpec(name="faceid", kind="faceid_plusv2", image_encoder=CLIP),
        AdapterSpec(name="plus", kind="ip_adapter_plus", image_encoder=CLIP),
    ],
    columns=["ip_adapter_image_uri", "shortcut_scale", "lora_scale"],
)
PLAIN = Recipe(name="plain", max_references=0)
FEW = replace(PLAIN, name="few", base=Base(steps=[4, 8]), defaults=Defaults(num_inference_steps=4))
NO_NEGATIVE = replace(PLAIN, name="none", defaults=Defaults(negative_prompt=None))
START = replace(PROMPT, name="start", required_columns=["init_image_uri"])
ALL = {recipe.name: recipe for recipe in (RECIPE, PROMPT, FACE, STYLE, PLAIN, FEW, NO_NEGATIVE, START)}
HASHES = {name: f"{number:032x}" for number, name in enumerate(ALL)}


def picture(recipe: str, **changes):
    """The one picture of a row, made or refused."""
    (made,) = pictures([row(1, recipe=recipe, **changes)], recipes=ALL, hashes=HASHES)
    return made


def made(recipe: str, **changes):
    found = picture(recipe, **changes)
    assert found["code"] == "", found["detail"]
    return found


def refusal(recipe: str, **changes) -> tuple[str, str]:
    found = picture(recipe, **changes)
    assert found["status"] == "rejected"
    assert not [name for name in PROMPT.columns if found[name] is not None]
    return found["code"], found["detail"]


@pytest.mark.parametrize("recipe", list(ALL.values()), ids=list(ALL))
def test_the_recipes_of_these_tests_are_sound(recipe):
    unused = ("strength", "paste_back", "face_box") if recipe is RECIPE else ()  # there for the planner's tests only
    check_recipe(replace(recipe, columns=[name for name in recipe.columns if name not in unused]))


def test_where_no_face_is_needed_a_reference_or_a_picture_prompt_will_do():
    assert made("prompt")["reference_uris"] == ["s3://photos/1.jpg"]
    found = made("prompt", reference_uri=None, ip_adapter_image_uri="look.png")
    assert (found["reference_uris"], found["ip_adapter_image_uri"]) == ([], "/data/look.png")
    code, detail = refusal("prompt", ip_adapter_image_uri="look.png")
    assert code == Code.BAD_VALUE
    assert "not both" in detail
    code, detail = refusal("prompt", reference_uri=None)
    assert code == Code.MISSING_VALUE
    assert "ip_adapter_image_uri" in detail
    code, _ = refusal("prompt", reference_uri=None, ip_adapter_image_uri="look.png", reference_sha256=["ab" * 32])
    assert code == Code.BAD_VALUE


def test_a_recipe_that_needs_a_face_needs_a_reference_whatever_else_it_takes():
    code, detail = refusal("style", reference_uri=None, ip_adapter_image_uri="look.png")
    assert (code, detail.partition(":")[0]) == (Code.MISSING_VALUE, "reference_uri")
    both = made("style", ip_adapter_image_uri="look.png")
    assert both["reference_uris"]
    assert both["ip_adapter_image_uri"]


def test_a_picture_prompt_is_only_for_recipes_that_list_it():
    assert refusal("faceid", ip_adapter_image_uri="a.png")[0] == Code.COLUMN_NOT_USED
    assert refusal("plain", reference_uri=None, ip_adapter_image_uri="a.png")[0] == Code.COLUMN_NOT_USED


def test_a_recipe_without_adapters_takes_neither_reference_nor_picture():
    assert made("plain", reference_uri=None)["reference_uris"] == []
    assert refusal("plain")[0] == Code.BAD_VALUE


@pytest.mark.parametrize(
    "changes",
    [
        {"reference_uri": None, "reference_uris": ["a.jpg", "b.jpg"]},
        {"reference_uri": None, "ip_adapter_image_uri": "cut.png"},
    ],
)
def test_a_mask_goes_with_exactly_one_reference(changes):
    assert made("face", reference_mask_uri="m.png")["reference_mask_uri"] == "/data/m.png"
    code, detail = refusal("face", reference_mask_uri="m.png", **changes)
    assert (code, detail.partition(":")[0]) == (Code.BAD_VALUE, "reference_mask_uri")


def test_a_recipe_that_starts_from_an_image_refuses_rows_without_one():
    assert refusal("start") == (Code.MISSING_VALUE, "init_image_uri: recipe start needs it")
    assert made("start", init_image_uri="a.png")["strength"] is not None


def test_strength_is_there_only_with_an_image_to_start_from():
    assert made("prompt")["strength"] is None
    default, own = made("prompt", init_image_uri="a.png"), made("prompt", init_image_uri="a.png", strength=0.5)
    assert default["strength"] == pytest.approx(PROMPT.defaults.strength)
    assert own["strength"] == 0.5
    assert len({default["bucket"], own["bucket"], made("prompt")["bucket"]}) == 3
    assert len({default["key"], own["key"], made("prompt")["key"]}) == 3
    assert made("prompt", init_image_uri="b.png")["bucket"] == default["bucket"]
    assert refusal("prompt", strength=0.5) == (Code.BAD_VALUE, "strength: has no effect without init_image_uri")


def test_the_least_strength_may_come_from_a_float32_column():
    least = np.float32(0.01).item()
    assert made("prompt", init_image_uri="a.png", strength=least, num_inference_steps=200)["strength"] == least


def test_a_strength_that_leaves_no_step_is_refused():
    start = {"init_image_uri": "a.png"}
    assert made("prompt", **start, strength=0.02, num_inference_steps=50)["strength"] == pytest.approx(0.02)
    code, detail = refusal("prompt", **start, strength=0.2, num_inference_steps=4)
    assert (code, detail) == (Code.BAD_VALUE, "strength: leaves none of the 4 steps; give at least 0.25")
    assert refusal("prompt", **start, num_inference_steps=1) == (
        Code.BAD_VALUE, "strength: leaves none of the 1 steps; give at least 1"
    )  # fmt: skip


def test_a_control_counts_where_a_row_brings_its_image():
    without, pose, both = (
        made("prompt"), made("prompt", control_pose_uri="p.png"),
        made("prompt", control_pose_uri="p.png", control_depth_uri="d.png", control_depth_scale=0.5),
    )  # fmt: skip
    scales = ("control_pose_scale", "control_depth_scale")
    assert [[found[name] for name in scales] for found in (without, pose, both)] == [
        [None, None], [0.75, None], [0.75, 0.5]
    ]  # fmt: skip
    assert len({found["bucket"] for found in (without, pose, both)}) == 3
    assert {found["load_group"] for found in (without, pose, both)} == {without["load_group"]}
    assert made("prompt", control_pose_uri="q.png")["bucket"] == pose["bucket"]
    assert made("prompt", control_pose_uri="q.png")["key"] != pose["key"]
    assert made("prompt", control_pose_uri="p.png", control_pose_scale=0.75)["key"] == pose["key"]
    later = made("prompt", control_pose_uri="p.png", control_guidance_start=0.25)
    assert later["bucket"] != pose["bucket"]
    assert later["key"] != pose["key"]
    assert pose["control_guidance_start"] is pose["control_guidance_end"] is None


@pytest.mark.parametrize(
    ("changes", "column"),
    [
        ({"control_pose_scale": 0.5}, "control_pose_scale"),
        ({"control_pose_scale": 0.5, "control_depth_uri": "d.png"}, "control_pose_scale"),
        ({"control_guidance_start": 0.5}, "control_guidance_start"),
        ({"control_guidance_end": 0.5}, "control_guidance_end"),
        ({"control_guidance_start": 0.5, "control_depth_uri": "d.png"}, "control_guidance_start"),
        ({"control_guidance_end": 0.25, "control_depth_uri": "d.png"}, "control_guidance_start"),
    ],
)
def test_a_control_setting_without_its_image_or_at_odds_with_it_is_refused(changes, column):
    code, detail = refusal("prompt", **changes)
    assert (code, detail.partition(":")[0]) == (Code.BAD_VALUE, column)


def test_the_number_of_picture_prompts_parts_buckets():
    found = [
        made("style"), made("style", ip_adapter_image_uri="look.png"),
        made("prompt"), made("prompt", reference_uri=None, reference_uris=["a.jpg", "b.jpg"]),
        made("prompt", reference_uri=None, ip_adapter_image_uri="look.png"),
    ]  # fmt: skip
    assert len({(one["recipe"], one["bucket"]) for one in found}) == 5


def test_the_shortcut_is_only_where_the_recipe_lists_it():
    assert [made(name)["shortcut_scale"] for name in ("style", "faceid")] == [1.0, None]


def test_no_negative_prompt_is_not_an_empty_one():
    none, empty = (made("none", reference_uri=None, negative_prompt=text) for text in (None, ""))
    assert (none["negative_prompt"], empty["negative_prompt"]) == (None, "")
    assert none["key"] != empty["key"]


def test_a_base_made_for_few_steps_names_them():
    assert made("few", reference_uri=None)["num_inference_steps"] == 4
    code, detail = refusal("few", reference_uri=None, num_inference_steps=30)
    assert code == Code.BAD_VALUE
    assert detail == "num_inference_steps: the base of few was made for 4 or 8"


@pytest.mark.parametrize("column", ["ip_adapter_image_uri", "init_image_uri", "control_pose_uri", "reference_mask_uri"])
def test_tonights_signed_image_gives_last_nights_key_and_never_leaves_the_plan(desk: Desk, column: str):
    desk.recipes, name = ALL, "face" if column == "reference_mask_uri" else "prompt"
    reference = None if column == "ip_adapter_image_uri" else "s3://photos/1.jpg"
    rows = [
        [row(1, recipe=name, reference_uri=reference, **{column: SIGNED.format(f"CANARY{night}")})] for night in (1, 2)
    ]
    keys = {pictures(night, recipes=ALL, hashes=HASHES)[0]["key"] for night in rows}
    assert len(keys) == 1
    desk.hashes = HASHES
    desk.plan([*rows[0], row(2, recipe=name, width=1, reference_uri=reference, **{column: SIGNED.format("CANARY")})])
    assert desk.pictures()[0][column] == SIGNED.format("CANARY1")
    desk.make(lambda picture: "internal")
    _, results, failed = desk.results()
    assert json.loads(results[0]["settings"])[column] == "https://shop.example/p.jpg?v=2"
    assert [told[column] for told in failed] == ["https://shop.example/p.jpg?v=2"] * 2
    texts = [str(results), str(failed), desk.text("plan/refused.csv"), str(desk.table("plan/refused.parquet"))]
    assert not [text for text in texts if "CANARY" in text]


def test_pictures_of_one_picture_prompt_stand_together(desk: Desk):
    desk.recipes, desk.hashes = ALL, HASHES
    desk.plan(
        [row(n, recipe="prompt", reference_uri=None, ip_adapter_image_uri=f"s3://looks/{n % 3}.png") for n in range(9)]
    )
    order = [picture["ip_adapter_image_uri"] for picture in desk.pictures()]
    assert order == sorted(order)


def test_images_of_their_own_per_row_cost_one_entry_of_the_shared_settings(monkeypatch: pytest.MonkeyPatch):
    from idgen.manifest import settings

    resolved = []
    original = settings.SettingsTable._resolve
    monkeypatch.setattr(
        settings.SettingsTable, "_resolve", lambda self, *cells: resolved.append(1) or original(self, *cells)
    )
    rows = [row(n, recipe="prompt", init_image_uri=f"i/{n}.png", control_pose_uri=f"p/{n}.png") for n in range(50)]
    assert len({made["bucket"] for made in pictures(rows, recipes=ALL, hashes=HASHES)}) == 1
    assert len(resolved) == 1
