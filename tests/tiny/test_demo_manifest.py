"""The demo's manifest and pictures in manifests/ are what idgen/tiny/demo.py writes, and every row has a recipe."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from idgen.recipes.book import load_recipes
from idgen.settings import load_config
from idgen.tiny.demo import ENGLISH, KOLORS, MODELS, PEOPLE, PLACED, PRODUCT, READERS, SHOTS, write_demo

ROOT = Path(__file__).resolve().parents[2]
THERE = ROOT / "manifests"


@pytest.fixture(scope="module")
def rows():
    with (THERE / "demo.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_committed_files_are_what_the_module_writes(tmp_path):
    write_demo(tmp_path)
    assert (tmp_path / "demo.csv").read_bytes() == (THERE / "demo.csv").read_bytes()
    names = sorted(path.name for path in (tmp_path / "demo").iterdir())
    assert names == sorted(path.name for path in (THERE / "demo").iterdir())
    for name in set(names) - {"corrupt.png"}:
        drawn, there = (cv2.imread(str(folder / "demo" / name)).astype(int) for folder in (tmp_path, THERE))
        assert np.abs(drawn - there).mean() < 2  # versions of OpenCV and Pillow differ a little


def test_every_row_names_a_recipe_that_lists_its_columns_and_whose_weights_are_drawn(rows):
    book = load_recipes(load_config([str(ROOT / "configs" / "demo.yaml")]))
    for row in rows:
        recipe = book[row["recipe"]]
        special = {column for column in row if column.startswith(("control_", "face_", "ip_adapter_", "init_", "stre"))}
        assert len(special) >= 6
        assert {column for column in special if row[column]} <= set(recipe.columns)
        assert all(place.startswith("drawn:") for place in places_of(recipe))
        assert recipe.face_pack.weights == "tiny:facepack"
        assert (recipe.base.dtype, recipe.defaults.width, recipe.defaults.height) == ("float32", 80, 80)


def test_eight_people_and_more_are_asked_for_with_four_recipes_and_more(rows):
    asked = {(row["person_id"], row["recipe"]) for row in rows}
    assert {(name, recipe) for name in PEOPLE for _, recipe, _ in SHOTS} <= asked
    assert len(PEOPLE) >= 8
    assert len({recipe for _, recipe, _ in SHOTS}) >= 4


def test_rows_bring_pictures_to_start_from_and_another_photos_pose(rows):
    for column in ("reference_uri", "init_image_uri", "face_pose_uri"):
        files = {row[column] for row in rows if row[column] and "://" not in row[column]}
        assert files
        assert all((THERE / file).is_file() for file in files)


def test_kolors_rows_ask_for_the_same_people_in_english_and_in_chinese(rows):
    asked = {(row["person_id"], row["prompt"]) for row in rows if row["recipe"] == KOLORS}
    chinese = SHOTS[-1][2]
    assert {(name, prompt) for name in READERS for prompt in (ENGLISH, chinese)} <= asked
    assert len(READERS) >= 2
    assert any("一" <= letter <= "鿿" for letter in chinese)


def test_rows_move_resize_and_turn_a_face_take_another_photos_pose_and_ask_for_the_face_pass(rows):
    placed = [row for row in rows if row["recipe"] == PLACED]
    assert len({row["face_box"] for row in placed} - {""}) >= 3
    assert any(row["face_angle_deg"] for row in placed)
    assert any(row["face_pose_uri"] for row in placed)
    assert any(row["face_pass"] == "auto" for row in placed)
    small = load_recipes(load_config([str(ROOT / "configs" / "demo.yaml")]))[PLACED].face_pass
    assert (small.below_px, small.side_px) == (40, 80)


def test_every_recipe_has_tiny_weights_in_their_configuration():
    book = load_recipes(load_config([str(ROOT / "configs" / "tiny.yaml")]))
    names = [name for name in book if "@" not in name]
    assert sorted(names) == sorted(path.stem for path in (ROOT / "configs" / "recipes").glob("*.yaml"))
    for name in names:
        recipe = book[name]
        assert all(place.startswith("tiny:") for place in places_of(recipe)), name
        assert (recipe.defaults.width, recipe.base.dtype) == (128, "float32")
        assert recipe.base.text_ahead == name.startswith("kolors")
        if "face" in name or "id" in name:
            assert recipe.face_pack.weights == "tiny:facepack", name
        if name.startswith("ecomid") and name != "ecomid-workflow":
            assert {control.name for control in recipe.controls} == {"identity", *name.split("-")[1:]}


def test_one_cut_out_product_is_worn_by_several_people(rows):
    worn = [row for row in rows if row["recipe"] == PRODUCT]
    assert {row["person_id"] for row in worn} == set(MODELS)
    assert len({(row["sku"], row["init_image_uri"], row["prompt"]) for row in worn}) == 1
    alpha = cv2.imread(str(THERE / worn[0]["init_image_uri"]), cv2.IMREAD_UNCHANGED)[..., 3]
    assert set(np.unique(alpha)) == {0, 255}
    assert 0.15 < (alpha == 255).mean() < 0.6


def test_row_ids_and_names_are_used_once(rows):
    assert len({row["row_id"] for row in rows}) == len(rows)
    names = [row["output_name"] for row in rows if row["output_name"]]
    assert len(set(names)) == len(names)


def places_of(recipe):
    """Where a recipe's weights lie, but for the face pack."""
    places = [part.weights for part in (recipe.base, *recipe.adapters, *recipe.controls, *recipe.base.loras)]
    places += [recipe.base.vae, recipe.base.unet, *(control.config for control in recipe.controls)]
    for adapter in recipe.adapters:
        places += [adapter.image_encoder, adapter.face_parser, adapter.context_weights]
    return [place for place in places if place]
