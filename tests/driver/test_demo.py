"""The demo, as `make demo` runs it: two runs, one changed prompt, and its gallery in a real browser."""

import csv
import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from doubles.browser import chromium
from doubles.catalogue import ROOT
from selenium.webdriver.common.by import By

from idgen.tiny.demo import FREE, KOLORS, LANGUAGES, MODELS, PEOPLE, PLACED, PLACES, POINTS, PRODUCT, READERS, SHOTS

pytestmark = [pytest.mark.cluster, pytest.mark.browser]
MORE = {
    "faceid-plusv2-sdxl": len(PEOPLE) + 1,
    "ip-adapter-plus-face-sd15": 2,
    "ip-adapter-plus-sd15": 2,
    "faceid-plusv2-sd15-controls": 1,
    KOLORS: len(READERS) * len(LANGUAGES),
    PLACED: len(PLACES) + 1,
    POINTS: 1,
    FREE: 1,
    PRODUCT: len(MODELS),
}
"""Pictures by recipe, where they are not one for each person."""
WITHOUT_GUIDANCE = "faceid-sdxl@sdxl-lightning-4step"
MOST_PROMPTS = 3
"""Of one recipe; those that encode beside the UNet do it anew when an actor loads them again."""
NO_CLUSTER = {"RAY_ADDRESS": "127.0.0.1:1"}  # a run that touched Ray would fail


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("demo")


def demo(folder, *words, **environment):
    command = [sys.executable, "jobs/generate.py", "configs/demo.yaml", f"output={folder}/out", *words]
    clean = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    done = subprocess.run(
        command, cwd=ROOT, env=clean | environment, capture_output=True, text=True, timeout=400, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def run_id(text) -> str:
    return text.partition("run ")[2].partition(":")[0]


def work_of(folder, run_id) -> dict[str, int]:
    return json.loads(Path(folder, "out", "runs", run_id, "summary.json").read_text())["work"]


def manifest() -> list[list[str]]:
    with (ROOT / "manifests" / "demo.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def distinct_prompts(rows) -> int:
    """Of each recipe, its negative one among them."""
    column, recipe = rows[0].index("prompt"), rows[0].index("recipe")
    prompts = {(row[recipe], row[column]) for row in rows[1:]}
    return len(prompts) + len({name for name, _ in prompts} - {WITHOUT_GUIDANCE})


def test_the_demo_makes_43_pictures_with_eleven_recipes_in_one_run_and_3_rows_fail(folder, tmp_path):
    text = demo(folder)
    assert "asked 46 = ok 43 + rejected 3 + failed 0 + skipped 0" in text
    results = pq.read_table(next(Path(folder, "out", "runs").glob("*/results.parquet"))).to_pylist()
    made = Counter(row["recipe"] for row in results if row["status"] == "ok")
    assert made == {**{recipe: len(PEOPLE) for _, recipe, _ in SHOTS}, **MORE}
    passed = {row["row_id"]: row["face_pass_result"] for row in results if row["face_pass_result"] is not None}
    assert passed == {"cleo-far": "no_face"}  # random weights paint none
    placed = {row["recipe"] for row in results if row["target_keypoints"] is not None}
    assert placed == {PLACED, POINTS, PRODUCT}
    work = work_of(folder, run_id(text))
    assert work["text_loads"] == 1
    asked, loaded_again = distinct_prompts(manifest()), work["loads"] - len(made)
    assert asked <= work["prompt_encodings"] <= asked + MOST_PROMPTS * loaded_again
    for word in ("no_face: 1", "image_corrupt: 1", "uri_forbidden: 1", "gallery: ", "drawings only", "Next: "):
        assert word in text
    assert len(PEOPLE) >= 6
    (page,) = Path(folder, "out", "runs").glob("*/report/index.html")
    assert LANGUAGES["zh"] in page.read_text(encoding="utf-8")
    assert str(page) in text
    with chromium(tmp_path / "profile", tmp_path) as browser:
        browser.get(f"file://{page}")
        time.sleep(2)
        images = browser.find_elements(By.CSS_SELECTOR, "main img")
        shown = [image for image in images if image.get_attribute("complete") == "true"]
        widths = browser.execute_script("return arguments[0].map(image => image.naturalWidth)", shown)
        assert len(shown) >= 30  # those further down are loaded when they are scrolled to
        assert all(width > 0 for width in widths)
        for word in ("46", "No face was found", "The picture file is damaged", "This address may not be fetched"):
            assert word in browser.find_element(By.TAG_NAME, "body").text
        product_row_is_shown_beside_what_it_was_made_of(browser)
        assert not [line for line in browser.get_log("browser") if line["level"] == "SEVERE"]


def product_row_is_shown_beside_what_it_was_made_of(browser):
    find = "[...document.querySelectorAll('.card')].find(card => card.textContent.includes('striped shirt'))"
    browser.execute_script(f"{find}.querySelector('.frame').click()")
    time.sleep(1)
    words = browser.find_elements(By.CSS_SELECTOR, "#viewer figcaption .words")
    parts = [word.get_attribute("textContent") for word in words]
    assert parts == ["Reference photo", "Where the face should be", "Product cut-out", "Soft edges"]
    widths = "return [...document.querySelectorAll('#viewer img')].map(image => image.naturalWidth)"
    assert [width > 0 for width in browser.execute_script(widths)] == [True] * 4  # the result, and all but the drawing
    assert len(browser.find_elements(By.CSS_SELECTOR, "#viewer canvas")) == 1


def test_again_is_nothing_to_do_within_ten_seconds_and_without_ray(folder):
    for _ in range(3):  # other tests run beside it: the best of three
        start = time.monotonic()
        text = demo(folder, **NO_CLUSTER)
        if (seconds := time.monotonic() - start) < 10:
            break
    assert seconds < 10
    assert "nothing to do" in text
    assert "skipped 46" in text


def test_one_changed_prompt_is_exactly_one_picture_and_no_other_prompt_is_encoded(folder, tmp_path):
    rows = manifest()
    prompt = rows[0].index("prompt")
    uris = [index for index, name in enumerate(rows[0]) if name.endswith("_uri")]
    for row in rows[1:]:
        for uri in uris:
            row[uri] = row[uri] if "://" in row[uri] or not row[uri] else str(ROOT / "manifests" / row[uri])
    (changed_row,) = (row for row in rows if row[0] == "ada-books-zh")
    changed_row[prompt] = "一位戴着眼镜的人在花园里微笑"
    changed = tmp_path / "changed.csv"
    with changed.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    text = demo(folder, f"manifest={changed}", f"sources.roots=[{ROOT / 'manifests'}]")
    assert "ok 1 + rejected 0 + failed 0 + skipped 45" in text
    work = work_of(folder, run_id(text))
    assert work["prompt_encodings"] == 2  # the new one and the negative one
