"""The example manifests that come with the project: every row can be made."""

import csv
import re
from pathlib import Path

import pytest
from doubles.shipped import BOOK

from idgen.config import Config, PlannerConfig
from idgen.manifest.planner import plan
from idgen.manifest.shards import read_shard, shards
from idgen.recipes.schedulers import SCHEDULERS
from idgen.stores.local import LocalStore

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("path", sorted((ROOT / "manifests" / "examples").glob("*.csv")), ids=lambda path: path.stem)
def test_every_row_of_the_examples_can_be_made(path, tmp_path):
    store = LocalStore(tmp_path / "out")
    hashes = dict.fromkeys(BOOK, "aa" * 16)
    made = plan(
        str(path), BOOK, hashes, Config(planner=PlannerConfig(memory_mb=256)), store, "run", ledger_files=[],
        schedulers=tuple(SCHEDULERS), scratch=tmp_path / "scratch",
    )  # fmt: skip
    rows = len(path.read_text().splitlines()) - 1
    assert 3 <= rows <= 8
    pictures = [row for ref in shards(store, "run", made.part) for row in read_shard(store, ref).to_pylist()]
    refused = store.get("runs/run/plan/refused.csv").decode()
    assert len(pictures) == rows, refused
    assert {picture["recipe"] for picture in pictures} <= set(BOOK)


def test_the_examples_use_a_recipe_of_every_sort():
    text = "".join(path.read_text() for path in (ROOT / "manifests" / "examples").glob("*.csv"))
    words = (
        "instantid,",
        "instantid-controls",
        "pulid-",
        "ecomid,",
        "ecomid-inpaint,",
        "ecomid-inpaint-softedge",
        "@leosams",
    )
    for word in (
        *words,
        "face_angle_deg",
        "face_pose_uri",
        "keep_white",
        "repaint_white",
        "faceid-",
        "ip-adapter-",
        "-style-",
        "-controls",
        "@",
        "strength",
        "reference_mask_uri",
        *(name for name in BOOK if BOOK[name].base.kind == "kolors"),
    ):
        assert word in text


def test_the_kolors_example_shows_each_person_in_both_languages_with_words_to_draw():
    with (ROOT / "manifests" / "examples" / "kolors.csv").open(newline="") as file:
        rows = {row.pop("row_id"): row for row in csv.DictReader(file)}
    pairs = {name.removesuffix("-zh") for name, row in rows.items() if row["person_id"] and name.endswith("-zh")}
    assert pairs == {"sign", "cafe"}
    for pair in pairs:
        chinese, english = (dict(rows[f"{pair}-{language}"]) for language in ("zh", "en"))
        prompts = chinese.pop("prompt"), english.pop("prompt")
        assert chinese == english
        assert re.search(r"“[\u4e00-\u9fff]+”", prompts[0])
        assert re.search(r"“[A-Z' ]+”", prompts[1])
    assert {row["seed"] for row in rows.values()} == {"66"}
    assert {row["scheduler"] for row in rows.values()} == {"", "edm_dpmsolver_multistep", "dpmpp_2m_karras"}


def test_the_shop_shows_one_product_on_several_models_that_alone_differ():
    with (ROOT / "manifests" / "examples" / "fashion-shop.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    shared = [row for row in rows if row["sku"] == "00451"]
    assert len({row["person_id"] for row in shared}) == 3
    for column in set(rows[0]) - {"row_id", "person_id", "reference_uri", "prompt"}:
        assert len({row[column] for row in shared}) == 1, column
    modes = {row["mask_mode"] for row in rows if row["mask_image_uri"]}
    assert modes == {"keep_white", "repaint_white"}
