"""The demo, as `make demo` runs it: two runs, one changed prompt, and its gallery in a real browser."""

import csv
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

from idgen.tiny.demo import PEOPLE, SHOTS

pytestmark = [pytest.mark.cluster, pytest.mark.browser]
MORE = {
    "faceid-plusv2-sdxl": len(PEOPLE) + 1,
    "ip-adapter-plus-face-sd15": 2,
    "ip-adapter-plus-sd15": 2,
    "faceid-plusv2-sd15-controls": 1,
}
"""Pictures by recipe, where they are not one for each person."""
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


def test_the_demo_makes_30_pictures_with_six_recipes_in_one_run_and_3_rows_fail(folder, tmp_path):
    text = demo(folder)
    assert "asked 33 = ok 30 + rejected 3 + failed 0 + skipped 0" in text
    results = pq.read_table(next(Path(folder, "out", "runs").glob("*/results.parquet"))).to_pylist()
    made = Counter(row["recipe"] for row in results if row["status"] == "ok")
    assert made == {**{recipe: len(PEOPLE) for _, recipe, _ in SHOTS}, **MORE}
    for word in ("no_face: 1", "image_corrupt: 1", "uri_forbidden: 1", "gallery: ", "drawings only", "Next: "):
        assert word in text
    assert len(PEOPLE) >= 6
    (page,) = Path(folder, "out", "runs").glob("*/report/index.html")
    assert str(page) in text
    with chromium(tmp_path / "profile", tmp_path) as browser:
        browser.get(f"file://{page}")
        time.sleep(2)
        images = browser.find_elements(By.CSS_SELECTOR, "main img")
        shown = [image for image in images if image.get_attribute("complete") == "true"]
        widths = browser.execute_script("return arguments[0].map(image => image.naturalWidth)", shown)
        assert len(shown) >= 30
        assert all(width > 0 for width in widths)
        for word in ("33", "No face was found", "The picture file is damaged", "This address may not be fetched"):
            assert word in browser.find_element(By.TAG_NAME, "body").text
        assert not [line for line in browser.get_log("browser") if line["level"] == "SEVERE"]


def test_again_is_nothing_to_do_within_ten_seconds_and_without_ray(folder):
    start = time.monotonic()
    text = demo(folder, **NO_CLUSTER)
    assert time.monotonic() - start < 10
    assert "nothing to do" in text
    assert "skipped 33" in text


def test_one_changed_prompt_is_exactly_one_picture(folder, tmp_path):
    with (ROOT / "manifests" / "demo.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    prompt = rows[0].index("prompt")
    uris = [index for index, name in enumerate(rows[0]) if name.endswith("_uri")]
    for row in rows[1:]:
        for uri in uris:
            row[uri] = row[uri] if "://" in row[uri] or not row[uri] else str(ROOT / "manifests" / row[uri])
    rows[1][prompt] = "a person in a green coat"
    changed = tmp_path / "changed.csv"
    with changed.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    text = demo(folder, f"manifest={changed}", f"sources.roots=[{ROOT / 'manifests'}]")
    assert "ok 1 + rejected 0 + failed 0 + skipped 32" in text
