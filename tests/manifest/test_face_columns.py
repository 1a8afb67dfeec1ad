"""Where a row wants the face, and how IdentityNet is asked: what is resolved, what contradicts, what enters keys."""

import json
import math
from dataclasses import replace

import pytest
from planning import Desk, row
from test_keys import SIGNED, pictures

from idgen.errors import Code
from idgen.recipes.hashes import recipe_hash
from idgen.recipes.recipe import AdapterSpec, Base, Control, Defaults, FacePass, Recipe

FACE_COLUMNS = ["face_pose_uri", "face_box", "face_keypoints", "face_angle_deg", "face_fit"]
EYES_TO_MOUTH = [0.4, 0.3, 0.6, 0.3, 0.5, 0.4, 0.42, 0.5, 0.58, 0.5]
BOX = [0.25, 0.25, 0.5, 0.5]
IDENTITY = Recipe(
    name="identity",
    base=Base(kind="sdxl"),
    adapters=[AdapterSpec(name="ecomid", kind="ecomid")],
    controls=[Control(name="identity", scale=0.75, start=0.25), Control(name="pose")],
    columns=[
        *FACE_COLUMNS, "face_pass", "controlnet_conditioning_scale", "control_guidance_start", "control_guidance_end",
        "control_pose_uri", "ip_adapter_scale",
    ],
    face_pass=FacePass(),
    max_references=3,
)  # fmt: skip
BARE = replace(IDENTITY, name="bare", columns=["control_pose_uri"])
FITTED = replace(IDENTITY, name="fitted", defaults=Defaults(face_fit="fit", face_pass="auto"))
PLACED = replace(IDENTITY, name="placed", defaults=Defaults(face_fit="place"))
WRONG = replace(IDENTITY, name="wrong", defaults=Defaults(face_fit="squash"))
PLAIN = Recipe(name="plain", adapters=[AdapterSpec(name="faceid")], columns=["face_pass"], face_pass=FacePass())
ALL = {recipe.name: recipe for recipe in (IDENTITY, BARE, FITTED, PLACED, WRONG, PLAIN)}
HASHES = {name: f"{number:032x}" for number, name in enumerate(ALL)}


def picture(recipe: str = "identity", **changes):
    """The one picture of a row, made or refused."""
    (found,) = pictures([row(1, recipe=recipe, **changes)], recipes=ALL, hashes=HASHES)
    return found


def made(recipe: str = "identity", **changes):
    found = picture(recipe, **changes)
    assert found["code"] == "", found["detail"]
    return found


def refusal(recipe: str = "identity", **changes) -> tuple[str, str]:
    found = picture(recipe, **changes)
    assert found["status"] == "rejected"
    return found["code"], found["detail"]


def test_a_row_that_says_nothing_has_its_face_where_the_photo_has_it_and_the_net_s_own_strength():
    found = made()
    assert (found["face_fit"], found["controlnet_conditioning_scale"], found["face_pass"]) == ("cover", 0.75, "off")
    others = ("face_box", "face_keypoints", "face_angle_deg", "face_pose_uri", "control_guidance_start")
    assert not [name for name in others if found[name] is not None]


def test_a_recipe_may_leave_the_columns_out_and_still_has_the_net():
    found = made("bare")
    assert (found["face_fit"], found["controlnet_conditioning_scale"], found["face_pass"]) == ("cover", 0.75, None)
    assert refusal("bare", face_box=BOX)[0] == Code.COLUMN_NOT_USED


@pytest.mark.parametrize(
    ("changes", "fit"),
    [({}, "cover"), ({"face_fit": "fit"}, "fit"), ({"face_pose_uri": "p.jpg"}, "cover"),
     ({"face_angle_deg": 30}, "cover"), ({"face_box": BOX}, "place"), ({"face_box": BOX, "face_fit": "place"}, "place"),
     ({"face_box": BOX, "face_pose_uri": "p.jpg"}, "place"), ({"face_keypoints": EYES_TO_MOUTH}, None),
     ({"face_keypoints": EYES_TO_MOUTH, "face_angle_deg": -20.0}, None)],
)  # fmt: skip
def test_what_says_where_the_face_is_may_stand_together(changes, fit):
    assert made(**changes)["face_fit"] == fit


def test_the_recipe_s_own_place_gives_way_to_a_box_or_points():
    assert made("fitted")["face_fit"] == "fit"
    assert made("fitted", face_box=BOX)["face_fit"] == "place"
    assert made("placed", face_box=BOX)["face_fit"] == "place"
    assert made("placed", face_keypoints=EYES_TO_MOUTH)["face_fit"] is None


@pytest.mark.parametrize(
    ("changes", "column", "advice"),
    [
        ({"face_box": BOX, "face_keypoints": EYES_TO_MOUTH}, "face_keypoints", "give one of them"),
        ({"face_box": BOX, "face_fit": "cover"}, "face_fit", "leave it empty"),
        ({"face_box": BOX, "face_fit": "fit"}, "face_fit", "leave it empty"),
        ({"face_keypoints": EYES_TO_MOUTH, "face_fit": "cover"}, "face_fit", "leave it empty"),
        ({"face_keypoints": EYES_TO_MOUTH, "face_fit": "place"}, "face_fit", "leave it empty"),
        ({"face_fit": "place"}, "face_fit", "needs face_box"),
        ({"recipe": "placed"}, "face_fit", "needs face_box"),
        ({"face_pose_uri": "p.jpg", "face_keypoints": EYES_TO_MOUTH}, "face_pose_uri", "give one of them"),
        ({"recipe": "wrong"}, "face_fit", "must be one of fit, cover, place"),
    ],
)
def test_two_places_for_one_face_are_refused_with_what_to_do(changes, column, advice):
    code, detail = refusal(**{"recipe": "identity", **changes})
    assert (code, detail.partition(":")[0]) == (Code.BAD_VALUE, column)
    assert advice in detail


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("face_box", [0.0, 0.0, 1.01, 1.0]), ("face_box", [-0.01, 0.0, 1.0, 1.0]), ("face_box", [0.5, 0.0, 0.5, 1.0]),
        ("face_box", [0.0, 0.0, 1.0]), ("face_box", [0.0, math.nan, 0.5, 1.0]), ("face_box", "0|0|nan|1"),
        ("face_keypoints", EYES_TO_MOUTH[:9]), ("face_keypoints", [*EYES_TO_MOUTH, 0.5]),
        ("face_keypoints", [*EYES_TO_MOUTH[:9], math.nan]), ("face_keypoints", [*EYES_TO_MOUTH[:9], math.inf]),
        ("face_keypoints", [*EYES_TO_MOUTH[:9], 1.51]), ("face_keypoints", [-0.51, *EYES_TO_MOUTH[1:]]),
        ("face_keypoints", [*EYES_TO_MOUTH[:9], None]), ("face_keypoints", [500.0] * 10),
        ("face_angle_deg", 180.5), ("face_angle_deg", math.nan), ("face_fit", "squash"), ("face_pass", "always"),
        ("controlnet_conditioning_scale", 10.5), ("controlnet_conditioning_scale", -0.5),
        ("controlnet_conditioning_scale", math.nan), ("control_guidance_start", 1.5), ("face_pose_uri", "a\nb"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_costs_its_own_row(column, value):
    rows = [
        row(1, recipe="identity"),
        row(2, recipe="identity", **{column: value}),
        row(3, recipe="identity", **{column: None}),
    ]
    found = pictures(rows, recipes=ALL, hashes=HASHES, as_text=isinstance(value, str))
    assert [one["code"] for one in found] == ["", Code.BAD_VALUE, ""]
    assert found[1]["detail"].startswith(f"{column}: ")


@pytest.mark.parametrize(
    ("column", "value", "advice"),
    [
        ("face_box", [10.0, 20.0, 300.0, 400.0], "0 to 1; they are shares of the picture, not pixels"),
        ("face_keypoints", "|".join(["500"] * 10), "-0.5 to 1.5; they are shares of the picture, not pixels"),
        ("face_box", "0.1,0.2,0.5,0.6", "must be 4 numbers separated by |"),
        ("face_keypoints", ",".join(["0.5"] * 10), "must be 10 numbers separated by |"),
        ("face_box", "0.1|0.2|0.5", "must be 4 numbers"),
    ],
)
def test_pixels_and_commas_are_told_what_they_should_be(column, value, advice):
    (found,) = pictures(
        [row(1, recipe="identity", **{column: value})], recipes=ALL, hashes=HASHES, as_text=isinstance(value, str)
    )
    assert found["detail"].startswith(f"{column}: ")
    assert found["detail"].endswith(advice)


def test_points_may_lie_a_little_outside_as_those_of_a_face_that_is_cut_off():
    cut = [-0.5, 0.3, 1.5, *EYES_TO_MOUTH[3:]]
    assert made(face_keypoints=cut)["face_keypoints"] == pytest.approx(cut)


def test_text_files_bring_boxes_points_and_angles(desk: Desk):
    desk.recipes, desk.hashes = ALL, HASHES
    desk.plan(
        [
            row(1, recipe="identity", face_box="0.25|0.25|0.5|0.5", face_angle_deg="-15"),
            row(2, recipe="identity", face_keypoints="|".join(map(str, EYES_TO_MOUTH))),
        ],
        ending="csv",
    )
    first, second = sorted(desk.pictures(), key=lambda found: found["position"])
    assert (first["face_box"], first["face_angle_deg"], first["face_fit"]) == (BOX, -15.0, "place")
    assert second["face_keypoints"] == pytest.approx(EYES_TO_MOUTH)
    assert first["bucket"] == second["bucket"]  # where the face is may differ within a batch


@pytest.mark.parametrize(
    "changes",
    [
        {"face_box": BOX}, {"face_keypoints": EYES_TO_MOUTH}, {"face_angle_deg": 10.0}, {"face_angle_deg": 0.0},
        {"face_fit": "fit"}, {"face_pose_uri": "p.jpg"}, {"controlnet_conditioning_scale": 0.5}, {"face_pass": "auto"},
        {"control_guidance_start": 0.5}, {"control_guidance_end": 0.5},
    ],
    ids=str,
)  # fmt: skip
def test_what_moves_the_face_makes_another_picture(changes):
    assert made(**changes)["key"] != made()["key"]


def test_what_says_no_more_than_the_default_moves_no_key():
    assert made(face_fit="cover", controlnet_conditioning_scale=0.75, face_pass="off")["key"] == made()["key"]
    assert made(face_box=BOX, face_fit="place")["key"] == made(face_box=BOX)["key"]


def test_the_net_s_strength_may_differ_in_a_batch_its_beginning_and_end_may_not():
    base = made()
    same = (
        {"controlnet_conditioning_scale": 0.5}, {"face_box": BOX}, {"face_pose_uri": "p.jpg"}, {"face_fit": "fit"},
        {"face_pass": "off"},
    )  # fmt: skip
    assert {made(**changes)["bucket"] for changes in same} == {base["bucket"]}
    parted = [{"control_guidance_start": 0.5}, {"control_guidance_end": 0.5}, {"face_pass": "auto"},
              {"control_pose_uri": "m.png"}]  # fmt: skip
    assert len({made(**changes)["bucket"] for changes in parted} | {base["bucket"]}) == 5
    assert "face pass" in made(face_pass="auto")["bucket"]


def test_begin_and_end_are_those_of_the_net_too():
    code, detail = refusal(control_guidance_end=0.25)
    assert (code, detail) == (Code.BAD_VALUE, "control_guidance_start: must be less than the end, 0.25 for identity")
    assert made(control_guidance_start=0.125, control_guidance_end=0.25)["control_guidance_end"] == 0.25


def test_the_face_pass_is_resolved_only_where_the_recipe_lists_it():
    assert [made(name)["face_pass"] for name in ("identity", "fitted", "plain", "bare")] == ["off", "auto", "off", None]
    assert made("plain")["controlnet_conditioning_scale"] is made("plain")["face_fit"] is None
    assert refusal("bare", face_pass="off")[0] == Code.COLUMN_NOT_USED


def test_listing_the_face_pass_moves_no_key_of_rows_without_it():
    unlisted = {**ALL, "plain": replace(PLAIN, columns=[], face_pass=None)}
    (before,) = pictures([row(1, recipe="plain")], recipes=unlisted, hashes=HASHES)
    assert made("plain")["key"] == before["key"] == made("plain", face_pass="off")["key"]
    assert made("plain", face_pass="auto")["key"] != before["key"]


def test_tonights_signed_pose_gives_last_nights_key_and_never_leaves_the_plan(desk: Desk):
    links = [SIGNED.format(f"CANARY{night}") for night in (1, 2)]
    assert made(face_pose_uri=links[0])["key"] == made(face_pose_uri=links[1])["key"]
    desk.recipes, desk.hashes = ALL, HASHES
    desk.plan(
        [row(1, recipe="identity", face_pose_uri=links[0]), row(2, recipe="identity", width=1, face_pose_uri=links[1])]
    )
    desk.make(lambda picture: "internal")
    _, results, failed = desk.results()
    assert json.loads(results[0]["settings"])["face_pose_uri"] == "https://shop.example/p.jpg?v=2"
    texts = [str(results), str(failed), desk.text("plan/refused.csv"), str(desk.table("plan/refused.parquet"))]
    assert not [text for text in texts if "CANARY" in text]


def test_a_drawing_for_every_row_makes_shards_smaller(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("idgen.manifest.shards.MAX_INPUT_BYTES", 8 * 3 * 512 * 768)
    desk.recipes, desk.hashes = ALL, HASHES
    desk.plan([row(n, recipe="identity") for n in range(24)])
    assert [ref.rows for ref in desk.refs()] == [8, 8, 8]
    desk.plan([row(n, recipe="plain") for n in range(24)])
    assert [ref.rows for ref in desk.refs()] == [24]


def test_settings_of_the_face_pass_are_in_the_keys_of_rows_that_ask_for_one():
    stronger = {**ALL, "plain": replace(PLAIN, face_pass=FacePass(strength=0.5))}
    assert recipe_hash(ALL["plain"], {}) == recipe_hash(stronger["plain"], {})
    for asked, differs in (({}, False), ({"face_pass": "auto"}, True)):
        (other,) = pictures([row(1, recipe="plain", **asked)], recipes=stronger, hashes=HASHES)
        assert (other["key"] != made("plain", **asked)["key"]) is differs
