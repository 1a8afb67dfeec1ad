"""Keys and recipe hashes as they are: whatever is rebuilt inside, a catalogue made before has nothing to do after it.

A line of pins.json changes only together with a line of CHANGELOG.md that says which pictures are made anew.
To add the pins of what is new: python tests/test_pins.py
"""

import csv
import json
import sys
import tempfile
from pathlib import Path

import pytest

from idgen.config import Config, PlannerConfig
from idgen.driver.setup import RecipeHashes
from idgen.manifest.planner import plan
from idgen.manifest.shards import read_shard, shards
from idgen.recipes.book import load_recipes
from idgen.recipes.hashes import recipe_hash
from idgen.recipes.schedulers import SCHEDULERS
from idgen.settings import load_config
from idgen.stores.local import LocalStore

ROOT = Path(__file__).parents[1]
PINS = Path(__file__).with_name("pins.json")
WEIGHTS = {"base": "aa" * 32}
"""In the place of the sums of real weights, which are not here."""


def recipe_hashes():
    """Of every recipe that is shipped, alone and on every base of its family."""
    book = load_recipes(Config())
    return {name: recipe_hash(book[name], WEIGHTS) for name in sorted(book)}


def in_the_cloud(path, folder):
    """Write the manifest with all its photos in one bucket: keys hold addresses, and folders differ by machine."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row.update({name: f"s3://shop/{cell}" for name, cell in row.items() if cell and name.endswith("_uri")})
        if row.get("reference_uris"):
            row["reference_uris"] = "|".join(f"s3://shop/{photo}" for photo in row["reference_uris"].split("|"))
    folder.mkdir(parents=True)
    with (folder / path.name).open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return folder / path.name


def keys_of(path, recipes, hashes, folder):
    """Row and picture -> key, of all that the plan makes of a manifest."""
    store = LocalStore(folder / "out")
    manifest = in_the_cloud(path, folder / "manifest")
    config = Config(planner=PlannerConfig(memory_mb=256), recipe="faceid-sd15")
    made = plan(
        str(manifest), recipes, hashes, config, store, "run",
        ledger_files=[], schedulers=tuple(SCHEDULERS), scratch=folder / "scratch",
    )  # fmt: skip
    rows = [row for ref in shards(store, "run", made.part) for row in read_shard(store, ref).to_pylist()]
    rows.sort(key=lambda row: (row["position"], row["image_index"]))
    return {f"{row['row_id']} {row['image_index']}": row["key"] for row in rows}


def example_keys(folder):
    """Of the example manifests, which between them use nearly every column."""
    book = load_recipes(Config())
    hashes = {name: recipe_hash(book[name], WEIGHTS) for name in sorted(book)}
    paths = sorted((ROOT / "manifests" / "examples").glob("*.csv"))
    return {path.name: keys_of(path, book, hashes, folder / path.stem) for path in paths}


def demo_keys(folder):
    """Of the demo, whose weights are here: the keys that its users have in their catalogues."""
    recipes = load_recipes(load_config([str(ROOT / "configs" / "demo.yaml")]))
    return keys_of(ROOT / "manifests" / "demo.csv", recipes, RecipeHashes(recipes), folder)


MADE = {"recipes": lambda folder: recipe_hashes(), "examples": example_keys, "demo": demo_keys}


@pytest.mark.parametrize("what", MADE)
def test_keys_and_hashes_are_those_of_the_catalogues_that_are_out_there(what, tmp_path):
    pinned = json.loads(PINS.read_text())[what]
    assert MADE[what](tmp_path) == pinned


def test_the_examples_and_the_demo_are_pinned_row_by_row():
    pinned = json.loads(PINS.read_text())
    with (ROOT / "manifests" / "demo.csv").open(newline="") as file:
        assert len({row["row_id"] for row in csv.DictReader(file)}) == 61
    assert len(pinned["demo"]) == 61
    assert sum(map(len, pinned["examples"].values())) > 35


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made_in:
        found = {what: made(Path(made_in, what)) for what, made in MADE.items()}
    PINS.write_text(json.dumps(found, indent=1) + "\n")
    sys.exit(0)
