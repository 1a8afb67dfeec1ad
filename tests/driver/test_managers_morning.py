"""A manager's morning: a night's run, what was held, decisions in the browser, new seeds, names; then the next night.

Every job is a process of its own on a real cluster; the pictures are the drawn world's, whose faces are the people's.
"""

import csv
from pathlib import Path

import numpy as np
import pytest
from doubles.browser import chromium
from doubles.catalogue import PEOPLE, PHOTOS, ROOT, Catalogue
from PIL import Image
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

pytestmark = [pytest.mark.cluster, pytest.mark.browser, pytest.mark.slow]

HELD = 3
ROWS = [
    {
        "row_id": f"shot-{n}",
        "photo": person,
        "prompt": f"portrait of a person in a {colour} shirt, smiling, in a studio",
        "sku": f"{n // 2:04d}",
        "output_name": f"shirts/shot-{n}",
    }
    for n, (person, colour) in enumerate(
        zip(PEOPLE, ("red", "blue", "green", "yellow", "white", "black", "purple", "orange"), strict=True)
    )
]


class Shop(Catalogue):
    """A catalogue on the drawn world: names go to accepted pictures only."""

    gate = ""

    def words(self, *more):
        fixed = [f"manifest={self.manifest}", f"output={self.output}", f"sources.roots=[{PHOTOS}]"]
        rules = ["images.publish=accepted", "cluster.num_cpus=2", *([self.gate] if self.gate else [])]
        return [str(ROOT / "configs" / "demo.yaml"), *fixed, *rules, *more]

    def review(self, file):
        """Record decisions, as the page says."""
        return self.run(job="review", words=[f"output={self.output}", f"decisions={file}", "review.by=mia"])

    def start(self, *more, job="generate", faults=None, words=None):
        if words is None:
            return super().start(*more, job=job, faults=faults)
        plain = Catalogue(self.folder, self.output)
        plain.words = lambda *_: words
        return plain.start(job=job)

    def page(self):
        newest = max(Path(self.output, "runs").glob("*/report/index.html"), key=lambda path: path.stat().st_mtime)
        return f"file://{newest}"

    def named(self):
        return {path.stem: path for path in Path(self.output, "named").rglob("*.png")}

    def pixels(self, path):
        return np.asarray(Image.open(Path(self.output, path)))


class Manager:
    """Looks at a page in a real browser and decides with the keyboard."""

    def __init__(self, driver, downloads):
        self.driver, self.downloads = driver, downloads

    def open(self, page):
        self.driver.get("about:blank")
        self.driver.get(page)
        self.until(self.cards)

    def until(self, condition):
        return WebDriverWait(self.driver, 20, poll_frequency=0.05).until(lambda _: condition())

    def cards(self):
        return self.driver.find_elements(By.CSS_SELECTOR, ".card")

    def open_first(self):
        self.cards()[0].find_element(By.CSS_SELECTOR, ".frame").click()
        self.until(self.driver.find_element(By.ID, "viewer").is_displayed)

    def press(self, *keys):
        for key in keys:
            self.driver.switch_to.active_element.send_keys(key)

    def save(self):
        """Save the decisions and return the file."""
        target = self.downloads / "decisions.csv"
        target.unlink(missing_ok=True)
        self.press(Keys.ESCAPE)
        self.until(lambda: not self.driver.find_element(By.ID, "viewer").is_displayed())
        self.driver.find_element(By.ID, "save-decisions").click()
        self.until(target.exists)
        return target.rename(self.downloads / f"decisions-{len(list(self.downloads.iterdir()))}.csv")


def decisions(file):
    with file.open(newline="", encoding="utf-8") as lines:
        return {line["row_id"]: (line["decision"], line["reason"]) for line in csv.DictReader(lines)}


@pytest.fixture
def shop(tmp_path):
    """A shop whose gate holds the three pictures with the least likeness, as a run without a gate measured it."""
    trial = Shop(tmp_path / "trial")
    trial.folder.mkdir()
    trial.write(ROWS)
    trial.run("report.enabled=false")
    likeness = sorted(row["face_similarity"] for row in trial.results().values())
    shop = Shop(tmp_path)
    shop.gate = f"gates.face_similarity.reject={(likeness[HELD - 1] + likeness[HELD]) / 2:.4f}"
    shop.write(ROWS)
    return shop


@pytest.fixture
def manager(tmp_path):
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    with chromium(tmp_path / "profile", downloads) as driver:
        yield Manager(driver, downloads)


def test_a_manager_s_morning(shop, manager):
    # the night: eight pictures, three of them held, none under a name yet
    printed = shop.run()
    first = shop.results()
    held = [name for name, row in first.items() if row["verdict"] == "held"]
    assert {row["status"] for row in first.values()} == {"ok"}
    assert len(held) == HELD == shop.summary()["held"]
    assert "held 3, accepted 0, rejected by review 0" in printed
    assert shop.named() == {}
    # the morning: held ones come first; two are rejected with reasons, all others accepted
    manager.open(shop.page())
    assert [card.get_attribute("data-verdict") for card in manager.cards()[: HELD + 1]] == ["held"] * HELD + [
        manager.cards()[HELD].get_attribute("data-verdict")
    ]
    manager.open_first()
    manager.press("1", " ", "2", " ", *["a", " "] * (len(ROWS) - 2))
    file = manager.save()
    told = decisions(file)
    rejected = [name for name, (decision, _) in told.items() if decision == "rejected"]
    assert set(told) == {row["row_id"] for row in ROWS}
    assert set(rejected) < set(held)
    assert len(rejected) == 2
    assert all(told[name][1] for name in rejected), "with a reason each"
    shop.review(file)
    # exactly these two are made again, with new seeds, in the place of the old ones
    shop.run("rerun.decision=rejected", job="rerun")
    again = shop.results()
    assert set(again) == set(rejected)
    for name, row in again.items():
        assert row["status"] == "ok"
        assert row["key"] != first[name]["key"]
        assert row["seed"] != first[name]["seed"]
        assert row["replaces"] == first[name]["key"]
        assert (shop.pixels(row["image_path"]) != shop.pixels(first[name]["image_path"])).any()
        assert Path(shop.output, first[name]["image_path"]).exists(), "what is replaced is kept"
    # they are accepted too; then everything has a name, without a picture made
    manager.open(shop.page())
    manager.open_first()
    manager.press("a", " ", "a")
    file = manager.save()
    assert decisions(file) == dict.fromkeys(rejected, ("accepted", ""))
    shop.review(file)
    shop.run()
    results = shop.results()
    assert shop.summary()["ok"] == 0
    assert {name: row["key"] for name, row in results.items()} == {
        name: (again if name in rejected else first)[name]["key"] for name in first
    }
    assert {row["decision"] for row in results.values()} == {"accepted"}
    named = shop.named()
    assert set(named) == set(first)
    for name, row in results.items():
        assert named[name].read_bytes() == Path(shop.output, row["image_path"]).read_bytes()
    # the next night changes one prompt: its page shows yesterday's picture beside today's
    changed = [{**row, "prompt": row["prompt"].replace("studio", "forest")} if row["row_id"] == "shot-5" else row
               for row in ROWS]  # fmt: skip
    shop.write(changed)
    shop.run()
    assert shop.summary()["ok"] == 1
    today = shop.results()["shot-5"]
    assert (today["status"], today["previous_key"]) == ("ok", results["shot-5"]["key"])
    assert today["previous_image_path"] == results["shot-5"]["image_path"]
    assert shop.named()["shot-5"].read_bytes() == Path(shop.output, results["shot-5"]["image_path"]).read_bytes(), (
        "the name shows the accepted picture until the new one is accepted"
    )
    manager.open(shop.page() + "#show=changed")
    (card,) = manager.until(lambda: len(manager.cards()) == 1 and manager.cards())
    card.find_element(By.CSS_SELECTOR, ".frame").click()
    manager.until(manager.driver.find_element(By.ID, "viewer").is_displayed)
    options = manager.driver.find_elements(By.CSS_SELECTOR, "#viewer-compare option")
    next(one for one in options if one.text == "What stood here before").click()
    loaded = (
        "return [...document.querySelectorAll('img.large')].filter(i => i.complete && i.naturalWidth).map(i => i.src)"
    )
    sources = manager.until(lambda: len(found := manager.driver.execute_script(loaded)) == 2 and found)
    assert [source.rpartition("/images/")[2] for source in sources] == [
        row["image_path"].removeprefix("images/") for row in (today, results["shot-5"])
    ]
