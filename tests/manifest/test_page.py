import re
from dataclasses import replace
from pathlib import Path

import pytest
from planning import Desk, row
from test_inpaint_columns import ALL, HASHES, MODEL

from idgen.columns import BY_NAME, COLUMNS
from idgen.manifest.page import schema_table, with_table
from idgen.sources.input_images import MASK_NOISE

PAGE = Path(__file__).parents[2] / "manifests" / "README.md"


def test_the_schema_page_is_what_the_code_says():
    """After a change: python -m idgen.manifest.page manifests/README.md."""
    page = PAGE.read_text(encoding="utf-8")
    assert with_table(page) == page
    assert all(f"| `{column.name}` |" in schema_table() for column in COLUMNS)


def test_a_page_without_marks_is_not_written():
    with pytest.raises(ValueError, match="marks"):
        with_table("# Manifests")


def test_the_pages_example_can_be_planned(desk: Desk):
    page = PAGE.read_text(encoding="utf-8")
    path = desk.folder / "example.csv"
    path.write_text(page.split("```csv\n")[1].split("```")[0])
    assert desk.plan(str(path)).to_make == 3
    assert {picture["sku"] for picture in desk.pictures()} == {"0123", "0124"}


def test_the_places_that_the_page_proposes_for_a_face_can_be_planned(desk: Desk):
    page = PAGE.read_text(encoding="utf-8").split("## Where the face goes")[1].split("\n## ")[0]
    proposed = re.findall(r"`(face_[a-z]+)`: `([^`]+)`", page)
    assert [name for name, _ in proposed] == ["face_fit", "face_box", "face_keypoints"]
    desk.recipes = {**ALL, "model": _listing("face_keypoints")}
    desk.hashes = HASHES
    rows = [row(n, recipe="model", **{name: text.replace("\\|", "|")}) for n, (name, text) in enumerate(proposed)]
    assert desk.plan(rows, ending="csv").to_make == 3
    assert len(desk.keys()) == 3


def test_every_column_that_the_page_names_is_one():
    page = PAGE.read_text(encoding="utf-8")
    words = set(re.findall(r"`((?:face|mask|init|control|paste|controlnet)_[a-z_]+)`", page))
    assert {"face_pass", "paste_back", "mask_mode", "face_select"} <= words
    assert not words - set(BY_NAME) - {"control_map_blank", "control_map_inverted"}  # warnings


def test_the_page_s_figures_are_the_code_s():
    page = " ".join(PAGE.read_text(encoding="utf-8").split())
    assert f"within {MASK_NOISE} levels of black or white" in page
    assert "face boxes 0 to 1, face points -0.5 to 1.5, angles -180 to 180" in page
    for name, value in (("face_keypoints", [-0.5, 1.5] * 5), ("face_box", [0, 0, 1, 1]), ("face_angle_deg", -180)):
        assert BY_NAME[name].check(name, value, MODEL) == value


def _listing(column: str):
    return replace(MODEL, columns=[*MODEL.columns, column])
