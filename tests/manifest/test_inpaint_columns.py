"""Product photos: image to start from, mask, paste-back and the control inpaint, in rows and keys."""

import json
from dataclasses import replace

import pytest
from planning import Desk, row
from test_keys import SIGNED, pictures

from idgen.errors import Code
from idgen.recipes.recipe import AdapterSpec, Base, Control, Defaults, FacePass, Recipe

PRODUCT = Recipe(
    name="product",
    base=Base(kind="sdxl"),
    controls=[Control(name="inpaint", scale=0.5, end=0.75), Control(name="softedge", scale=0.6)],
    columns=[
        "init_image_uri", "mask_image_uri", "mask_mode", "paste_back", "strength", "control_inpaint_scale",
        "control_softedge_uri", "control_guidance_start", "control_guidance_end",
    ],
    max_references=0,
)  # fmt: skip
PASTED = replace(PRODUCT, name="pasted", defaults=Defaults(mask_mode="keep_white", paste_back=True))
START = replace(PRODUCT, name="start", controls=[], columns=["init_image_uri", "strength"])
LOOSE = replace(START, name="loose", columns=PRODUCT.columns)  # its own check would refuse it
POSED = Recipe(
    name="pose",
    adapters=[AdapterSpec(name="faceid")],
    controls=[Control(name="pose", scale=0.75)],
    columns=["init_image_uri", "strength", "control_pose_uri", "control_pose_scale"],
)
MODEL = Recipe(
    name="model",
    base=Base(kind="sdxl"),
    adapters=[AdapterSpec(name="ecomid", kind="ecomid")],
    controls=[Control(name="identity", scale=0.8), *PRODUCT.controls],
    columns=[
        *PRODUCT.columns, "control_softedge_scale", "face_pose_uri", "face_box", "face_angle_deg", "face_fit",
        "face_pass", "controlnet_conditioning_scale", "ip_adapter_scale",
    ],
    face_pass=FacePass(),
    max_references=2,
)  # fmt: skip
ALL = {recipe.name: recipe for recipe in (PRODUCT, PASTED, START, LOOSE, MODEL)}
HASHES = {name: f"{number:032x}" for number, name in enumerate(ALL)}
PHOTO = {"init_image_uri": "shoe.png"}
MASKED = {**PHOTO, "mask_image_uri": "mask.png"}


def picture(recipe: str = "product", **changes):
    """The one picture of a row without a person, made or refused."""
    (found,) = pictures([row(1, **{"recipe": recipe, "reference_uri": None} | changes)], recipes=ALL, hashes=HASHES)
    return found


def made(recipe: str = "product", **changes):
    found = picture(recipe, **changes)
    assert found["code"] == "", found["detail"]
    return found


def resolved(*names: str, **changes):
    found = made(**changes)
    return [found[name] for name in names]


ITS_COLUMNS = ("control_inpaint_scale", "mask_mode", "paste_back", "strength")


def test_a_row_without_a_product_photo_uses_nothing_of_it():
    assert resolved(*ITS_COLUMNS) == [None] * 4
    assert resolved(*ITS_COLUMNS, recipe="pasted") == [None] * 4


def test_with_a_photo_the_net_sees_it_and_the_picture_starts_from_noise():
    assert resolved(*ITS_COLUMNS, **PHOTO) == [0.5, None, False, None]
    assert resolved(*ITS_COLUMNS, **MASKED) == [0.5, "repaint_white", False, None]
    assert resolved(*ITS_COLUMNS, recipe="pasted", **MASKED) == [0.5, "keep_white", True, None]


def test_a_strength_of_the_row_makes_it_image_to_image_as_well():
    assert made(strength=0.5, **MASKED)["strength"] == 0.5
    assert made("start", **PHOTO)["strength"] == pytest.approx(START.defaults.strength)
    assert made("start", **PHOTO)["control_inpaint_scale"] is None


@pytest.mark.parametrize(
    ("changes", "column"),
    [
        ({"mask_image_uri": "m.png"}, "mask_image_uri"),
        ({"mask_mode": "keep_white"}, "mask_mode"),
        ({"mask_mode": "keep_white", **PHOTO}, "mask_mode"),
        ({"paste_back": True}, "paste_back"),
        ({"control_inpaint_scale": 0.5}, "control_inpaint_scale"),
        ({"strength": 0.5}, "strength"),
        ({"control_guidance_start": 0.5}, "control_guidance_start"),
        ({"control_guidance_start": 0.75, **PHOTO}, "control_guidance_start"),
        ({"recipe": "loose", **MASKED}, "mask_image_uri"),
        ({"recipe": "loose", "mask_mode": "keep_white", **PHOTO}, "mask_mode"),
        ({"recipe": "loose", "paste_back": True, **PHOTO}, "paste_back"),
        ({"mask_mode": "white", **MASKED}, "mask_mode"),
        ({"control_inpaint_scale": float("nan"), **PHOTO}, "control_inpaint_scale"),
        ({"control_inpaint_scale": 11.0, **PHOTO}, "control_inpaint_scale"),
    ],
)
def test_a_setting_without_its_picture_is_refused(changes, column):
    found = picture(**changes)
    assert (found["status"], found["code"]) == ("rejected", Code.BAD_VALUE)
    assert found["detail"].startswith(f"{column}: ")


@pytest.mark.parametrize("column", ["mask_image_uri", "mask_mode", "paste_back", "control_inpaint_scale"])
def test_recipes_without_the_net_do_not_take_the_columns(column):
    value = {"mask_mode": "keep_white", "paste_back": False, "control_inpaint_scale": 0.5}.get(column, "m.png")
    assert picture("start", **PHOTO, **{column: value})["code"] == Code.COLUMN_NOT_USED


def test_false_needs_no_photo_and_is_no_setting():
    """A shop's export has a yes or no in every row."""
    assert made(paste_back=False)["paste_back"] is None
    assert made(paste_back=False)["key"] == made()["key"]
    assert made(paste_back=False, **PHOTO)["key"] == made(**PHOTO)["key"]
    assert made(paste_back=True, **PHOTO)["key"] != made(**PHOTO)["key"]


def test_what_decides_the_pixels_is_in_the_key_and_the_rest_is_not():
    others = [
        {"mask_mode": "keep_white"}, {"control_inpaint_scale": 0.25}, {"strength": 0.5}, {"paste_back": True},
        {"mask_image_uri": "other.png"}, {"init_image_uri": "other.png"}, {"control_guidance_end": 0.5},
    ]  # fmt: skip
    assert len({made(**MASKED | change)["key"] for change in ({}, *others)}) == len(others) + 1
    assert made(**MASKED, mask_mode="repaint_white", control_inpaint_scale=0.5)["key"] == made(**MASKED)["key"]


@pytest.mark.parametrize(
    ("recipe", "changes", "key"),
    [
        (START, {"reference_uri": None}, "962560f21c55c028f7cf983517fb4798"),
        (POSED, {"control_pose_uri": "p.png", "num_images": 2}, "7980eb63b6a0729a89eba9e576207382"),
    ],
)
def test_keys_of_rows_with_images_are_those_from_before_masks_faces_and_passes(recipe, changes, key):
    """Made by the commit before these columns (05e6f67)."""
    asked = row(1, recipe=recipe.name, **PHOTO, **changes)
    found = pictures([asked], recipes={recipe.name: recipe}, hashes={recipe.name: "aa" * 16})
    assert found[0]["key"] == key


def test_what_the_net_is_shown_parts_buckets_and_how_it_was_masked_does_not():
    none, photo, masked = made(), made(**PHOTO), made(**MASKED)
    assert none["bucket"] != photo["bucket"] == masked["bucket"]
    assert photo["bucket"].split()[4:6] == ["init", "inpaint"]
    together = [{"mask_mode": "keep_white"}, {"paste_back": True}, {"mask_image_uri": "n.png"}]
    assert {made(**MASKED | change)["bucket"] for change in together} == {masked["bucket"]}
    parted = [{"control_inpaint_scale": 0.25}, {"strength": 0.5}, {"control_softedge_uri": "e.png"}]
    assert len({made(**MASKED | change)["bucket"] for change in ({}, *parted)}) == 4


def test_photo_and_mask_are_counted_where_shards_are_cut(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("idgen.manifest.shards.MAX_INPUT_BYTES", 16 * 3 * 512 * 768)
    desk.recipes, desk.hashes = ALL, HASHES
    for changes, rows in ((MASKED, [8, 8, 8]), (PHOTO, [8, 8, 8]), ({}, [24])):
        desk.plan([row(n, recipe="product", reference_uri=None, **changes) for n in range(24)])
        assert [ref.rows for ref in desk.refs()] == rows
    desk.plan([row(n, recipe="start", reference_uri=None, **PHOTO) for n in range(24)])
    assert [ref.rows for ref in desk.refs()] == [16, 8]


def test_a_row_with_everything(desk: Desk):
    desk.recipes, desk.hashes = ALL, HASHES
    everything = row(
        1, recipe="model", **MASKED, mask_mode="keep_white", paste_back="yes", strength="0.9",
        control_inpaint_scale="0.4", control_softedge_uri="edges.png", control_softedge_scale="0.7",
        control_guidance_start="0.1", control_guidance_end="0.7", face_pose_uri="pose.jpg",
        face_box="[0.3, 0.1, 0.7, 0.5]", face_angle_deg="12.5", face_fit="place", face_pass="auto",
        controlnet_conditioning_scale="0.6", ip_adapter_scale="0.3", reference_uri=None,
        reference_uris="a.jpg|b.jpg", face_select="best", seed="7", sku="0123",
    )  # fmt: skip
    desk.plan([everything], ending="csv")
    (found,) = desk.pictures()
    assert found["code"] == ""
    assert {name: found[name] for name in MODEL.columns} == {
        "init_image_uri": f"{desk.folder}/shoe.png", "mask_image_uri": f"{desk.folder}/mask.png",
        "mask_mode": "keep_white", "paste_back": True, "strength": pytest.approx(0.9),
        "control_inpaint_scale": pytest.approx(0.4), "control_softedge_uri": f"{desk.folder}/edges.png",
        "control_guidance_start": pytest.approx(0.1), "control_guidance_end": pytest.approx(0.7),
        "control_softedge_scale": pytest.approx(0.7), "face_pose_uri": f"{desk.folder}/pose.jpg",
        "face_box": pytest.approx([0.3, 0.1, 0.7, 0.5]), "face_angle_deg": 12.5, "face_fit": "place",
        "face_pass": "auto", "controlnet_conditioning_scale": pytest.approx(0.6),
        "ip_adapter_scale": pytest.approx(0.3),
    }  # fmt: skip


def test_tonights_signed_mask_gives_last_nights_key_and_never_leaves_the_plan(desk: Desk):
    links = [SIGNED.format(f"CANARY{night}") for night in (1, 2)]
    masks = [{**PHOTO, "mask_image_uri": link} for link in links]
    assert made(**masks[0])["key"] == made(**masks[1])["key"]
    desk.recipes, desk.hashes = ALL, HASHES
    product = {"recipe": "product", "reference_uri": None}
    desk.plan([row(1, **product, **masks[0]), row(2, **product, **masks[1], width=1)])
    desk.make(lambda picture: "internal")
    _, results, failed = desk.results()
    assert json.loads(results[0]["settings"])["mask_image_uri"] == "https://shop.example/p.jpg?v=2"
    texts = [str(results), str(failed), desk.text("plan/refused.csv"), str(desk.table("plan/refused.parquet"))]
    assert not [text for text in texts if "CANARY" in text]
