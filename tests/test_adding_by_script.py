"""What CONTRIBUTING.md says about adding a column and a check, done by script to a copy of the package, which runs.

A carried column is one line in idgen/columns.py. A column that decides pixels is that line and the code that uses it. A
check is a file of its own and a line in idgen/checks/table.py. The catalogue was begun by the code as it was before.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from doubles.browser import chromium
from doubles.catalogue import Catalogue
from PIL import Image
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[1]
PARTS = ("idgen", "jobs", "configs", "manifests")

SEASON = """\
    Column("season", _STRING, _CARRIED, Role.LABEL, check=_label, common=True, meaning="when it is sold"),
"""
VARIATION = """\
    Column("variation", _INT, _ROW, Role.OPTION, check=values.whole_number(0, 999), common=True, neutral=0,
        meaning="another picture of the same seed; 0 = the seed's own"),
"""
CHECK = '''\
"""How bright a picture is."""

import pyarrow as pa

from idgen.checks.picture import PictureFacts, Pixels
from idgen.checks.protocol import Finding, FindingColumn


class MeanLevelCheck:
    """The mean of all levels."""

    column = FindingColumn("mean_level", pa.float32(), "mean of the picture's levels, 0 to 255")

    def look(self, picture: Pixels, facts: PictureFacts) -> Finding:
        """Return the mean."""
        return Finding(self.column.name, float(picture.mean()), "warn", ("looked_at: by a check that was added",))
'''

SEED = "manual_seed(row.seed)"
USE = 'manual_seed(row.seed + row.option("variation", 0))'

PLAIN = {"photo": "ada", "prompt": "a portrait", "seed": 5, "sku": "0123"}
BEFORE = [{"row_id": "plain", **PLAIN}]
AFTER = [
    *BEFORE,
    {"row_id": "carried", **PLAIN, "season": "summer"},
    {"row_id": "neutral", **PLAIN, "variation": 0},
    {"row_id": "varied", **PLAIN, "season": "winter", "variation": 3},
    {"row_id": "too-much", **PLAIN, "season": "autumn", "variation": 1000},
    {"row_id": "two-lines", **PLAIN, "season": "spring\nsummer"},
]


class Copy(Catalogue):
    """A catalogue whose jobs run in a copy of the package."""

    def __init__(self, folder):
        super().__init__(folder)
        self.code = folder / "checkout"
        for part in PARTS:
            shutil.copytree(
                ROOT / part, self.code / part, ignore=shutil.ignore_patterns("__pycache__", "drawn_weights")
            )

    def texts(self):
        """Every file that may be edited, by path."""
        files = [path for part in PARTS for path in (self.code / part).rglob("*") if path.suffix in TEXTS]
        return {str(path.relative_to(self.code)): path.read_text(encoding="utf-8") for path in files}

    def replace(self, file, old, new):
        text = (self.code / file).read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{file} has {old!r} {text.count(old)} times"
        (self.code / file).write_text(text.replace(old, new), encoding="utf-8")

    def python(self, *words):
        """Run Python in the copy; return what it printed."""
        environment = {**os.environ, "PYTHONPATH": str(self.code)}
        environment.pop("RAY_ADDRESS", None)
        done = subprocess.run(
            [sys.executable, *words], cwd=self.code, env=environment, capture_output=True, text=True, timeout=400
        )
        assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
        return done.stdout

    def generate(self, rows):
        self.write(rows)
        sizes = ("width", 64), ("height", 64), ("num_inference_steps", 4)
        quick = [f"overrides.faceid-sd15.defaults.{name}={value}" for name, value in sizes]
        return self.python("jobs/generate.py", *self.words("report.enabled=true", *quick))

    def report(self):
        return max(Path(self.output, "runs").glob("*/report/index.html"), key=os.path.getmtime)

    def pixels(self, row):
        return np.asarray(Image.open(Path(self.output, row["image_path"])).convert("RGB")).astype(int)


TEXTS = {".py", ".js", ".css", ".html", ".yaml", ".md"}


def add_a_carried_column(shop):
    shop.replace("idgen/columns.py", '    Column("output_name"', SEASON + '    Column("output_name"')


def add_a_column_that_decides_pixels(shop):
    shop.replace("idgen/columns.py", '    Column("output_name"', VARIATION + '    Column("output_name"')
    (user,) = (name for name, text in shop.texts().items() if name.startswith("idgen/sampling/") and SEED in text)
    shop.replace(user, SEED, USE)


def add_a_check(shop):
    (shop.code / "idgen/checks/mean_level.py").write_text(CHECK, encoding="utf-8")
    shop.replace(
        "idgen/checks/table.py", "\nCHECKS: ", "from idgen.checks.mean_level import MeanLevelCheck\n\nCHECKS: "
    )
    shop.replace("idgen/checks/table.py", "    FacePassCheck(),\n", "    MeanLevelCheck(),\n    FacePassCheck(),\n")


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A catalogue with one picture from before; after that all patches, a run that uses them, the page made anew."""
    made = Copy(tmp_path_factory.mktemp("columns"))
    made.generate(BEFORE)
    made.first = made.results()["plain"]
    made.edited = {}
    for patch in (add_a_carried_column, add_a_column_that_decides_pixels, add_a_check):
        before = made.texts()
        patch(made)
        after = made.texts()
        made.edited[patch] = [name for name in after if after[name] != before.get(name)]
    made.printed = made.generate(AFTER)
    made.python("-m", "idgen.manifest.page", "manifests/README.md")
    return made


def test_a_carried_column_is_one_file_and_one_that_decides_pixels_two(shop):
    assert shop.edited[add_a_carried_column] == ["idgen/columns.py"]
    (columns, user) = shop.edited[add_a_column_that_decides_pixels]
    assert columns == "idgen/columns.py"
    assert user.startswith("idgen/sampling/")


def test_neither_moves_the_key_of_a_picture_that_is_there(shop):
    results = shop.results()
    for name in ("plain", "carried", "neutral"):
        assert (results[name]["key"], results[name]["status"]) == (shop.first["key"], "skipped"), name
    summary = shop.summary()
    assert (summary["ok"], summary["skipped"], summary["rejected"]) == (1, 3, 2)


def test_another_value_is_another_picture(shop):
    varied = shop.results()["varied"]
    assert varied["status"] == "ok"
    assert varied["key"] != shop.first["key"]
    assert np.abs(shop.pixels(varied) - shop.pixels(shop.first)).mean() > 5


def test_wrong_values_cost_their_own_rows(shop):
    results = shop.results()
    refused = {name: (row["code"], row["detail"]) for name, row in results.items() if row["status"] == "rejected"}
    assert refused == {
        "too-much": ("bad_value", "variation: must be 0 to 999"),
        "two-lines": ("bad_value", "season: holds a line break or another control character"),
    }


def test_results_and_ledger_have_both(shop):
    results = shop.results()
    seasons = {name: row["season"] for name, row in results.items()}
    assert seasons == {
        "plain": None, "carried": "summer", "neutral": None, "varied": "winter", "too-much": "autumn",
        "two-lines": None,
    }  # fmt: skip
    assert json.loads(results["varied"]["settings"])["variation"] == 3
    assert "season" not in results["varied"]["settings"] + results["varied"]["carried"]
    told = {row["row_id"]: row for row in shop.ledger()}
    assert told["varied"]["season"] == "winter"
    assert json.loads(told["varied"]["settings"])["variation"] == 3
    assert told["too-much"]["season"] == "autumn"
    assert told["plain"].get("season") is None, "it was written before the column was known"


def test_what_a_check_finds_is_in_results_and_ledger(shop):
    assert shop.edited[add_a_check] == ["idgen/checks/mean_level.py", "idgen/checks/table.py"]
    varied = shop.results()["varied"]
    assert varied["mean_level"] == pytest.approx(shop.pixels(varied).mean(), abs=0.01)
    assert "looked_at: by a check that was added" in varied["warnings"]
    told = {row["row_id"]: row for row in shop.ledger()}
    assert told["varied"]["mean_level"] == varied["mean_level"]
    assert told["plain"].get("mean_level") is None, "nobody looked at it"


def test_failed_rows_can_be_given_again(shop):
    path = max(Path(shop.output, "runs").glob("*/failed.parquet"), key=os.path.getmtime)
    assert {row["row_id"]: row["season"] for row in pq.read_table(path).to_pylist()} == {
        "too-much": "autumn", "two-lines": "spring\nsummer"
    }  # fmt: skip


def test_the_gallery_s_data_have_all(shop):
    page = shop.report().read_text(encoding="utf-8")
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])
    assert list(data["labels"].items())[-1] == ("season", "Season")
    assert cells(data, "season") == ["", "summer", "", "winter", "autumn", ""]
    assert json.loads(cells(data, "settings")[3])["variation"] == 3
    assert data["findings"]["mean_level"] == "Mean level"
    assert [value is not None for value in cells(data, "mean_level")] == [False, False, False, True, False, False]


def test_the_page_of_the_columns_has_both(shop):
    page = (shop.code / "manifests" / "README.md").read_text(encoding="utf-8")
    assert "| `season` | string | – | every recipe | when it is sold |" in page
    assert "| `variation` | int32 | K | every recipe | another picture of the same seed; 0 = the seed's own |" in page


@pytest.mark.browser
def test_the_gallery_finds_and_shows_all(shop, tmp_path):
    with chromium(tmp_path / "profile", tmp_path) as driver:
        driver.get(f"file://{shop.report()}")
        wait = WebDriverWait(driver, 10, poll_frequency=0.05)
        driver.find_element(By.ID, "search").send_keys("winter")
        wait.until(lambda _: len(driver.find_elements(By.CSS_SELECTOR, ".card")) == 1)
        assert "winter" in driver.find_element(By.CSS_SELECTOR, ".card footer").text
        driver.find_element(By.CSS_SELECTOR, ".card .frame").click()
        driver.find_element(By.CSS_SELECTOR, "#viewer summary").click()
        shown = driver.find_element(By.ID, "viewer").text.split("\n")
        assert shown[shown.index("Season") + 1] == "winter"
        assert shown[shown.index("variation") + 1] == "3"
        level = shop.pixels(shop.results()["varied"]).mean()
        assert float(shown[shown.index("Mean level") + 1]) == pytest.approx(level, abs=0.01)


def cells(data, name):
    column = data["columns"][name]
    return column if isinstance(column, list) else [column["values"][at] for at in column["at"]]
