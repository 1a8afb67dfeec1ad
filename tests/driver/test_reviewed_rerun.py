"""A manager's mornings on one catalogue: held, accepted, rejected, made again, published, withdrawn; with real runs."""

import csv
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from doubles.catalogue import Catalogue, rows

pytestmark = pytest.mark.cluster
HOLD = "gates.sharpness.reject=1e9"
"""Holds every picture."""


class Shop(Catalogue):
    def review(self, **decisions):
        """Decide on the newest run's pictures by row id, and record it."""
        results = self.results()
        path = self.folder / "decisions.csv"
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["key", "row_id", "decision", "reason", "date"])
            for row_id, decision in decisions.items():
                now = datetime.now(UTC).isoformat()
                writer.writerow([results[row_id]["key"], row_id, decision, "by hand", now])
        return self.run(f"decisions={path}", "review.by=mara", job="review")

    def quietly(self, *more, **how):
        """Run without a cluster: a run that starts Ray fails."""
        self.address = "127.0.0.1:1"
        try:
            return self.run(*more, **how)
        finally:
            self.address = ""

    def page_of(self, said, name):
        """The gallery that a run printed."""
        (line,) = (line for line in said.splitlines() if line.startswith(f"{name}: "))
        assert Path(line.split(": ")[1]).is_file()
        return line.split(": ")[1]

    def names(self):
        return {path.stem: path.read_bytes() for path in Path(self.output, "named").rglob("*.png")}

    def image(self, row_id):
        return Path(self.output, self.results()[row_id]["image_path"]).read_bytes()


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Four pictures, all held by a gate; two are accepted, one is rejected."""
    made = Shop(tmp_path_factory.mktemp("morning"))
    made.rows = [{**row, "output_name": row["row_id"]} for row in rows(4)]
    made.write(made.rows)
    said = made.run(HOLD, "run.max_held_fraction=0.9", expect=3)
    assert "held 4, accepted 0, rejected by review 0" in said
    assert "gates hold back more than run.max_held_fraction=0.9 of the pictures tried" in said
    made.first = made.results()
    return made


def test_the_morning_after_a_run(shop):
    summary = shop.summary()
    assert (summary["ok"], summary["held"], summary["held_new"], summary["exit_code"]) == (4, 4, 4, 3)
    assert "held 4" in shop.run(f"run.id={summary['run_id']}", job="status")
    assert shop.names() == {}

    shop.review(r000="accepted", r001="accepted", r002="rejected")
    said = shop.quietly("report.enabled=true")
    decided = shop.page_of(said, "gallery")
    assert "newest gallery" not in said
    assert decided in shop.page_of(shop.quietly("report.enabled=true"), "newest gallery"), "nobody decided since"
    assert "nothing to do" in said
    assert "held 1, accepted 2, rejected by review 1" in said
    assert shop.names() == {"r000": shop.image("r000"), "r001": shop.image("r001")}
    results = shop.results()
    assert [results[f"r00{n}"]["named_path"] for n in range(4)] == ["named/r000.png", "named/r001.png", "", ""]
    assert [results[f"r00{n}"]["decided_by"] for n in range(4)] == ["mara", "mara", "mara", ""]

    said = shop.run("rerun.decision=rejected", "rerun.set.guidance_scale=3", job="rerun")
    assert "ordered in the place of rejected pictures: 1" in said
    (new,) = shop.results().values()
    old = shop.first["r002"]
    assert (new["row_id"], new["replaces"], new["status"], new["decision"]) == ("r002", old["key"], "ok", "")
    assert new["previous_image_path"] == old["image_path"]
    assert Path(shop.output, old["image_path"]).exists(), "what is replaced is never deleted"
    assert shop.names()["r002"] == shop.image("r002")
    ledger = {row["key"]: row for row in shop.ledger()}
    assert ledger[new["key"]]["replaces"] == old["key"]
    assert ledger[new["key"]]["seed"] != ledger[old["key"]]["seed"]
    assert '"guidance_scale": 3.0' in ledger[new["key"]]["settings"]

    assert "nothing to do" in shop.quietly("rerun.decision=rejected", job="rerun")
    assert "nothing to do: every picture is done" in shop.quietly()
    assert shop.results()["r002"]["key"] == new["key"], "the nightly run asks for what took the place"


def test_a_changed_picture_waits_for_its_acceptance_and_the_old_one_stays(shop):
    old = shop.names()["r000"]
    shop.rows[0] = {**shop.rows[0], "prompt": "another coat"}
    shop.write(shop.rows)
    shop.run("images.publish=accepted")
    results = shop.results()
    assert (results["r000"]["status"], results["r000"]["named_path"]) == ("ok", "")
    assert results["r000"]["previous_key"] == shop.first["r000"]["key"]
    assert shop.names()["r000"] == old
    shop.review(r000="accepted")
    shop.quietly("images.publish=accepted")
    assert shop.names()["r000"] == shop.image("r000") != old


def test_a_rejected_picture_loses_its_name_to_the_one_before_it_or_to_nothing(shop):
    assert set(shop.names()) >= {"r000", "r001"}
    shop.review(r000="rejected", r001="rejected")
    said = shop.quietly()
    assert "named copies withdrawn: 1" in said
    assert shop.summary()["withdrawn"] == 1
    assert "r001" not in shop.names()
    assert shop.names()["r000"] == Path(shop.output, shop.first["r000"]["image_path"]).read_bytes()


def test_a_rerun_that_is_killed_after_it_ordered_is_finished_by_the_nightly_run(shop):
    before = set(Path(shop.output).glob("reviews/orders/*"))
    process = shop.start("rerun.decision=rejected", job="rerun")
    while set(Path(shop.output).glob("reviews/orders/*")) == before:
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.02)
    process.kill()
    process.wait()
    shop.run()
    results = shop.results()
    assert [results[name]["status"] for name in ("r000", "r001", "r002", "r003")] == ["ok", "ok", "skipped", "skipped"]
    assert results["r001"]["replaces"] == shop.first["r001"]["key"]
    assert results["r001"]["named_path"] == "named/r001.png"
    assert shop.names()["r001"] == shop.image("r001")
    assert "nothing to do" in shop.quietly("rerun.decision=rejected", job="rerun")


def test_a_rejected_picture_that_is_forced_gets_no_name(shop):
    shop.quietly()
    shop.review(r003="rejected")
    keys = shop.folder / "keys.txt"
    keys.write_text("r003\n")
    shop.run(f"select.file={keys}", job="rerun")
    result = shop.results()["r003"]
    assert (result["status"], result["key"], result["named_path"]) == ("ok", shop.first["r003"]["key"], "")
    assert "r003" not in shop.names()
