"""The table of columns refuses a line that cannot be meant when it is imported; what follows from it follows."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from idgen import columns, values
from idgen.column import Column, Need, Role, Scope, checked
from idgen.columns import BY_NAME
from idgen.errors import RowError
from idgen.manifest import settings
from idgen.recipes.column_rules import may_set
from idgen.recipes.recipe import AdapterSpec, Control, Recipe
from idgen.sampling import rows
from idgen.sampling.rows import Bucket, SampleRow
from idgen.schemas import ANALYSED, LEDGER, PICTURES, PictureRow

LABEL = Column(
    "season", pa.string(), Scope.CARRIED, Role.LABEL, check=values.text(9), common=True, meaning="when it is sold"
)
OPTION = Column(
    "warmth", pa.float32(), Scope.ROW, Role.OPTION, check=values.number(0, 1), neutral=0.0, meaning="how warm it is"
)
PICTURE = {
    "key": "k", "prompt": "p", "negative_prompt": None, "seed": 5, "id_embedding": None, "width": 64, "height": 64,
    "num_inference_steps": 4, "scheduler": "ddim", "guidance_scale": 5.0,
}  # fmt: skip


def test_a_column_without_a_check_fails_on_import_and_the_message_says_what_to_do(tmp_path):
    source = Path(columns.__file__).read_text(encoding="utf-8")
    place = 'Role.LABEL, check=_label, common=True, meaning="which view"'
    assert source.count(place) == 1
    (tmp_path / "columns.py").write_text(source.replace(place, place.replace("check=_label, ", "")))
    done = subprocess.run([sys.executable, tmp_path / "columns.py"], capture_output=True, text=True)
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ValueError: idgen/columns.py: column shot: it has no check; give it one of idgen/values.py")


@pytest.mark.parametrize(
    ("line", "changes", "words"),
    [
        (LABEL, {"meaning": ""}, "it has no `meaning`"),
        (LABEL, {"scope": Scope.ROW}, "contradict"),
        (OPTION, {"scope": Scope.CARRIED, "neutral": None}, "contradict"),
        (LABEL, {"type": pa.int32()}, "labels must be text"),
        (LABEL, {"common": False}, "labels must be text and common"),
        (LABEL, {"neutral": ""}, "no neutral value"),
        (OPTION, {"type": pa.list_(pa.float32())}, "options are numbers, words or truth values"),
        (OPTION, {"role": Role.MAP, "type": pa.string(), "check": values.uri, "neutral": None}, "a map must belong to"),
        (OPTION, {"role": Role.IMAGE, "neutral": None}, "images are given by their addresses"),
        (OPTION, {"neutral": 1.5}, "its own check refuses its neutral value: warmth: must be 0 to 1"),
        (OPTION, {"type": pa.int32()}, "lets '0.5' through"),
        (OPTION, {"type": pa.int64(), "check": values.number(20, 30), "neutral": None}, "lets 20.5 through"),
        (OPTION, {"type": pa.uint8(), "check": values.number(-900, -700), "neutral": None}, "lets -.* through"),
        (OPTION, {"type": pa.int32(), "check": values.text(9), "neutral": None}, "lets '0.5' through"),
        *(
            (OPTION, {"scope": Scope.CARRIED, "role": role, "check": values.uri, "neutral": None}, "contradict")
            for role in Role
            if role not in (Role.ID, Role.LABEL, Role.PICTURE)
        ),
    ],
)
def test_a_line_that_cannot_be_meant_is_refused_by_its_name(line, changes, words):
    with pytest.raises(ValueError, match=f"column {line.name}: .*{words}"):
        replace(line, **changes)


def test_a_neutral_value_is_what_its_check_makes_of_it_and_changes_no_key(monkeypatch):
    for given in (0.1, "0.1"):
        column = replace(OPTION, neutral=given)
        assert column.neutral == column.check("warmth", "0.1", Recipe()) != 0.1
        monkeypatch.setitem(BY_NAME, "warmth", column)
        assert settings._contents({"warmth": column.check("warmth", 0.1, Recipe())}, Recipe(), {}) == {}
    assert replace(OPTION, type=pa.bool_(), check=values.boolean, neutral="no").neutral is False


def test_a_control_has_one_strength_and_one_map():
    strength = replace(OPTION, name="heat_scale", role=Role.SCALE, control="heat", neutral=None)
    heat = Column("heat_uri", pa.string(), Scope.ROW, Role.MAP, check=values.uri, control="heat", meaning="its map")
    assert checked([strength, heat]) == (strength, heat)
    with pytest.raises(ValueError, match="column warm_scale: its control heat has heat_scale as SCALE already"):
        checked([strength, replace(strength, name="warm_scale")])
    with pytest.raises(ValueError, match="column warm_uri: its control heat has heat_uri as MAP already"):
        checked([strength, heat, replace(heat, name="warm_uri")])


def test_a_name_stands_once_and_a_neutral_column_is_one():
    assert checked([LABEL, OPTION]) == (LABEL, OPTION)
    with pytest.raises(ValueError, match="column season appears twice"):
        checked([LABEL, OPTION, LABEL])
    with pytest.raises(ValueError, match="column warmth: neutral_as names an unknown column"):
        checked([LABEL, replace(OPTION, neutral_as="cold")])
    with pytest.raises(ValueError, match="column warmth: its control has no column of role SCALE"):
        checked([replace(OPTION, role=Role.MAP, check=values.uri, neutral=None, control="heat")])


def test_the_rules_of_controls_follow_from_the_table():
    assert columns.NETS == ("identity", "inpaint", "pose", "depth", "canny", "softedge"), "the order they are run in"
    assert columns.SCALE_OF["identity"] == "controlnet_conditioning_scale"
    assert columns.SCALE_OF["depth"] == "control_depth_scale"
    assert columns.MAP_OF["depth"] == "control_depth_uri"
    assert columns.SHOWN_TO.keys() == columns.MAP_OF.keys() | {"inpaint"}
    assert set(columns.NETS) == columns.SHOWN_TO.keys() | {"identity"}


def test_a_common_column_may_be_set_where_the_recipe_has_what_it_needs():
    common = replace(OPTION, common=True, need=Need.ADAPTER)
    with_one = Recipe(adapters=[AdapterSpec(name="faceid")])
    assert may_set(with_one, common)
    assert not may_set(Recipe(), common)
    assert not may_set(with_one, OPTION), "it is not common, and the recipe does not list it"
    assert may_set(replace(with_one, columns=["warmth"]), OPTION)
    of_depth = replace(OPTION, common=True, control="depth")
    assert may_set(Recipe(controls=[Control(name="depth")]), of_depth)
    assert not may_set(Recipe(controls=[Control(name="pose")]), of_depth)


def test_a_row_s_options_are_read_by_name_and_a_slip_is_an_error():
    row = SampleRow.from_picture({**PICTURE, "shortcut_scale": 2.0})
    assert row.option("shortcut_scale", 1.0) == 2.0
    assert SampleRow.from_picture({**PICTURE, "shortcut_scale": None}).option("shortcut_scale", 1.0) == 1.0
    with pytest.raises(ValueError, match="short_scale is not one of the options shortcut_scale"):
        row.option("short_scale", 1.0)


def test_options_that_split_batches_are_in_the_bucket(monkeypatch):
    monkeypatch.setattr(rows, "_BATCH_OPTIONS", ("tiling", "look"))
    bucket = Bucket.from_picture({**PICTURE, "tiling": True, "look": None})
    assert bucket.option("tiling", False) is True
    assert bucket.option("look", "plain") == "plain"
    assert bucket != Bucket.from_picture(PICTURE)
    assert hash(bucket)


@pytest.mark.parametrize(
    ("name", "cell", "value", "wrong"),
    [
        ("reference_sha256", "AB" * 32, ["ab" * 32], "abc"),
        ("reference_uris", "a.png|b.png", ["a.png", "b.png"], "a||"),
        ("width", "512", 512, "wide"), ("seed", "7", 7, "-1"), ("paste_back", "yes", True, "perhaps"),
        ("control_depth_scale", "0.5", 0.5, "11"), ("ip_adapter_scales", '{"faceid": 1}', [("faceid", 1.0)], "[1]"),
        ("face_box", "0|0|1|1", [0.0, 0.0, 1.0, 1.0], "1|0|0|1"), ("shot", "back", "back", "back\n"),
        ("face_pose_uri", " a.png ", "a.png", "null"),
    ],
)  # fmt: skip
def test_a_column_s_check_makes_of_text_what_the_other_rooms_get(name, cell, value, wrong):
    recipe = Recipe(adapters=[AdapterSpec(name="faceid")])
    assert BY_NAME[name].check(name, cell, recipe) == value
    with pytest.raises(RowError, match=f"{name}: "):
        BY_NAME[name].check(name, wrong, recipe)


@pytest.mark.parametrize("schema", [PICTURES, LEDGER, ANALYSED])
def test_no_column_has_the_name_of_another_one_beside_it(schema):
    assert len(set(schema.names)) == len(schema.names)
    assert {"sku", "person_id", "shot"} <= set(schema.names)


def test_rows_are_read_by_names_of_columns_that_there_are():
    assert PictureRow.__annotations__.keys() <= set(ANALYSED.names)
