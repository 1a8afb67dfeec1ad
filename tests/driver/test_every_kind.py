"""Every kind of recipe in one run on the tiny world's random weights, routed row by row."""

import json
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from doubles.catalogue import ROOT, Catalogue
from doubles.every_kind import FREE, KOLORS, MODELS, PEOPLE, PLACED, PLACES, POINTS, PRODUCT, SHOTS, write

pytestmark = pytest.mark.cluster
MORE = {
    "faceid-plusv2-sdxl": len(PEOPLE) + 1,
    "ip-adapter-plus-face-sd15": 2,
    "ip-adapter-plus-sd15": 2,
    "faceid-plusv2-sd15-controls": 1,
    KOLORS: 4,
    PLACED: len(PLACES),
    POINTS: 1,
    FREE: 1,
    PRODUCT: len(MODELS),
}
"""Pictures by recipe, where they are not one for each person."""
WITHOUT_GUIDANCE = "faceid-sdxl@sdxl-lightning-4step"
MOST_PROMPTS = 3
"""Of one recipe; those that encode beside the UNet do it anew when an actor loads them again."""


@pytest.mark.slow
def test_eleven_recipes_are_made_in_one_run_and_each_load_encodes_a_prompt_once(tmp_path):
    shop = Catalogue(tmp_path)
    shop.manifest = write(tmp_path)
    text = shop.run(f"sources.roots=[{tmp_path},{ROOT / 'manifests'}]")
    rows = sum({**{recipe: len(PEOPLE) for _, recipe, _ in SHOTS}, **MORE}.values())
    assert f"asked {rows} = ok {rows} + rejected 0 + failed 0 + skipped 0" in text
    results = pq.read_table(next(Path(shop.output, "runs").glob("*/results.parquet"))).to_pylist()
    made = Counter(row["recipe"] for row in results)
    assert made == {**{recipe: len(PEOPLE) for _, recipe, _ in SHOTS}, **MORE}
    assert len(made) == 11
    passed = {row["row_id"]: row["face_pass_result"] for row in results if row["face_pass_result"] is not None}
    assert passed == {"ada-face-small": "no_face"}  # random weights paint none
    assert {row["recipe"] for row in results if row["target_keypoints"] is not None} == {PLACED, POINTS, PRODUCT}
    work = json.loads(next(Path(shop.output, "runs").glob("*/summary.json")).read_text())["work"]
    assert work["text_loads"] == 1
    prompts = {(row["recipe"], row["prompt"]) for row in results}
    asked = len(prompts) + len({recipe for recipe, _ in prompts} - {WITHOUT_GUIDANCE})
    loaded_again = work["loads"] - len(made)
    assert asked <= work["prompt_encodings"] <= asked + MOST_PROMPTS * loaded_again
