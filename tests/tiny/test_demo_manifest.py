"""The demo's manifest and pictures in manifests/ are what idgen/tiny/demo.py writes, and every row has a recipe."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from idgen.recipe_files import load_recipes
from idgen.settings import load_config
from idgen.tiny.demo import KOLORS, LANGUAGES, MODELS, PLACED, PRODUCT, READERS, write_demo

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


def test_every_row_names_a_recipe_that_lists_its_columns_and_whose_weights_are_tiny(rows):
    book = load_recipes(load_config([str(ROOT / "configs" / "demo.yaml")]))
    assert len({row["recipe"] for row in rows}) >= 4
    assert any("@" in row["recipe"] for row in rows)
    for row in rows:
        recipe = book[row["recipe"]]
        special = {column for column in row if column.startswith(("control_", "face_", "ip_adapter_", "init_", "stre"))}
        assert len(special) >= 9
        assert {column for column in special if row[column]} <= set(recipe.columns)
        parts = [recipe.base, recipe.face_pack, *recipe.adapters, *recipe.controls, *recipe.base.loras]
        places = [part.weights for part in parts] + [control.config for control in recipe.controls]
        for adapter in recipe.adapters:
            places += [adapter.image_encoder, adapter.face_parser, adapter.context_weights]
        places += [recipe.base.vae, recipe.base.unet]
        assert all(place.startswith("tiny:") for place in places if place)
        assert recipe.base.dtype == "float32"


def test_rows_bring_picture_prompts_images_to_start_from_and_control_images(rows):
    columns = ("reference_uri", "ip_adapter_image_uri", "init_image_uri", "control_pose_uri", "control_softedge_uri")
    for column in (*columns, "face_pose_uri"):
        files = {row[column] for row in rows if row[column] and "://" not in row[column]}
        assert files
        assert all((THERE / file).is_file() for file in files)


def test_kolors_rows_ask_for_the_same_people_in_english_and_in_chinese(rows):
    asked = {(row["person_id"], row["prompt"]) for row in rows if row["recipe"] == KOLORS}
    assert asked == {(name, prompt) for name in READERS for prompt in LANGUAGES.values()}
    assert len(READERS) >= 2
    assert any("一" <= letter <= "鿿" for letter in LANGUAGES["zh"])


def test_every_kolors_recipe_runs_on_tiny_weights_with_its_prompts_encoded_ahead():
    book = load_recipes(load_config([str(ROOT / "configs" / "demo.yaml")]))
    names = [name for name in book if name.startswith("kolors")]
    assert len(names) == 5
    for name in names:
        recipe = book[name]
        assert recipe.base.text_ahead
        places = [recipe.base.weights, *(spec.weights for spec in recipe.adapters)]
        places += [spec.image_encoder for spec in recipe.adapters]
        assert all(place.startswith("tiny:") for place in places)
        assert (recipe.defaults.width, recipe.base.dtype) == (128, "float32")


def test_rows_move_resize_and_turn_a_face_take_another_photos_pose_and_ask_for_the_face_pass(rows):
    placed = [row for row in rows if row["recipe"] == PLACED]
    assert len({row["face_box"] for row in placed} - {""}) == 3
    assert any(row["face_angle_deg"] for row in placed)
    assert any(row["face_pose_uri"] for row in placed)
    assert any(row["face_pass"] == "auto" for row in placed)
    small = load_recipes(load_config([str(ROOT / "configs" / "demo.yaml")]))[PLACED].face_pass
    assert (small.below_px, small.side_px) == (64, 128)


@pytest.mark.parametrize("name", ["ecomid", "ecomid-inpaint", "ecomid-softedge", "ecomid-inpaint-softedge"])
def test_every_recipe_for_product_photos_has_tiny_weights_in_the_demo(name):
    recipe = load_recipes(load_config([str(ROOT / "configs" / "demo.yaml")]))[name]
    places = [recipe.base.weights, *(part.weights for part in (*recipe.adapters, *recipe.controls))]
    assert all(place.startswith("tiny:") for place in places), places
    nets = {"identity", *name.split("-")[1:]}
    assert {control.name for control in recipe.controls} == nets


def test_one_cut_out_product_is_worn_by_several_people(rows):
    worn = [row for row in rows if row["recipe"] == PRODUCT]
    assert {row["person_id"] for row in worn} == set(MODELS)
    assert len({(row["sku"], row["init_image_uri"], row["prompt"]) for row in worn}) == 1
    alpha = cv2.imread(str(THERE / worn[0]["init_image_uri"]), cv2.IMREAD_UNCHANGED)[..., 3]
    assert set(np.unique(alpha)) == {0, 255}
    assert 0.15 < (alpha == 255).mean() < 0.6
    edges = cv2.imread(str(THERE / worn[0]["control_softedge_uri"]))
    assert (edges.max(axis=2) < 8).mean() > 0.5  # white lines on black
    assert edges.max() > 200


def test_row_ids_and_names_are_used_once(rows):
    assert len({row["row_id"] for row in rows}) == len(rows)
    names = [row["output_name"] for row in rows if row["output_name"]]
    assert len(set(names)) == len(names)
