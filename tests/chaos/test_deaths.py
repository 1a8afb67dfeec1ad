"""Real clusters, real kills: every picture asked for ends in exactly one status, and nothing is made twice."""

import signal
from collections import Counter
from pathlib import Path

import pytest
from doubles.catalogue import PHOTOS, Catalogue, rows

pytestmark = pytest.mark.cluster


def attempted(log):
    return Counter(Path(log).read_text().split())


class Poisoned(Catalogue):
    """One row ends each process that samples it, and two show a photo that ends each process that decodes it."""

    def __init__(self, folder):
        super().__init__(folder)
        photo = (PHOTOS / "hana.png").read_bytes() + b"\0" * 7
        (folder / "poison.png").write_bytes(photo)
        bad = [{"row_id": f"bad{i}", "photo": str(folder / "poison.png"), "prompt": f"bad {i}"} for i in range(2)]
        self.write([*rows(11), {"row_id": "poison", "photo": "ada", "prompt": "boom"}, *bad])
        log = folder / "attempts"
        self.run("sampling.batch_size=4", faults={"die_on": ["boom"], "die_on_size": len(photo), "log": str(log)})
        self.attempted = attempted(log)


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory):
    return Poisoned(tmp_path_factory.mktemp("poisoned"))


def test_a_row_that_kills_its_process_costs_only_itself(poisoned):
    results = poisoned.results()
    assert results["poison"]["status"] == "failed"
    assert results["poison"]["code"] == "worker_crashed"
    assert Counter(row["status"] for row in results.values()) == {"ok": 11, "failed": 1 + 2}
    assert set(poisoned.statuses().values()) == {"ok", "failed"}
    assert len(poisoned.ledger()) == 14
    assert poisoned.attempted[results["poison"]["key"]] == 3, "once in company, twice alone"
    assert poisoned.summary()["worker_deaths"] == 3 + 2


def test_a_photo_that_kills_its_decoder_costs_only_its_own_rows(poisoned):
    results = poisoned.results()
    codes = {name: row["code"] for name, row in results.items() if row["code"]}
    assert codes == dict.fromkeys(("poison", "bad0", "bad1"), "worker_crashed")
    assert not {results["bad0"]["key"], results["bad1"]["key"]} & set(poisoned.attempted), "never sampled"


@pytest.mark.chaos
def test_a_row_that_hangs_in_either_stage_costs_only_itself_and_is_made_when_asked_for_again(tmp_path):
    shop = Catalogue(tmp_path)
    photo = (PHOTOS / "hana.png").read_bytes() + b"\0" * 7
    (tmp_path / "endless.png").write_bytes(photo)
    stuck = {"row_id": "stuck", "photo": "ada", "prompt": "stuck"}
    shop.write([*rows(5), stuck, {"row_id": "endless", "photo": str(tmp_path / "endless.png"), "prompt": "a photo"}])
    words = ("sampling.batch_deadline_s=6", "faces.batch_deadline_s=6", f"sources.roots=[{PHOTOS},{tmp_path}]")
    shop.run(*words, faults={"hang_on": ["stuck"], "hang_on_size": len(photo), "quick_s": 0.0})
    codes = {name: row["code"] for name, row in shop.results().items() if row["code"]}
    assert codes == {"stuck": "worker_crashed", "endless": "worker_crashed"}
    assert Counter(shop.statuses().values()) == {"ok": 5, "failed": 2}
    assert shop.summary()["worker_deaths"] == 3 + 2

    assert "nothing to do" in shop.run(*words, faults={"quick_s": 0.0})
    shop.run(*words, "rerun.code=[worker_crashed]", job="rerun")
    assert Counter(shop.statuses().values()) == {"ok": 7}


@pytest.mark.slow
def test_a_sampler_killed_in_mid_shard_and_retried_with_another_batch_size_makes_the_same_pictures_once(tmp_path):
    shop = Catalogue(tmp_path)
    shop.write(rows(16))
    once = {"file": str(tmp_path / "died"), "after": 11, "batch_size": 3}
    log = tmp_path / "attempts"
    shop.run("sampling.batch_size=4", "planner.shard_seconds=60", faults={"die_once": once, "log": str(log)})
    assert (tmp_path / "died").exists()
    assert shop.statuses() == {row["key"]: "ok" for row in shop.results().values()}
    assert len(shop.ledger()) == 16, "no key twice, none lost"
    assert {row["batch_rows"] for row in shop.ledger()} >= {4, 3, 1}
    assert sum(attempted(log).values()) <= 16 + 3 * 4, "a death costs the batches in hand"


@pytest.mark.slow
def test_a_stop_ends_in_order_a_killed_driver_loses_nothing_and_what_either_published_is_not_made_again(tmp_path):
    shop = Catalogue(tmp_path)
    shop.write(rows(16))
    log = tmp_path / "attempts"
    words, faults = ("sampling.batch_size=2", "planner.shard_seconds=8"), {"log": str(log), "sleep_s": 0.3}
    process = shop.start(*words, faults=faults)
    shop.signal_when(process, signal.SIGTERM, published=2)
    text, _ = process.communicate(timeout=200)
    assert process.returncode == 5, text
    stopped = len(shop.ledger())
    summary = shop.summary()
    assert 2 <= stopped <= 8
    assert summary["unfinished"] == 16 - stopped
    assert summary["asked"] == summary["ok"] + summary["unfinished"]

    process = shop.start(*words, faults=faults)
    shop.kill_when(process, published=stopped + 4)
    assert stopped + 4 <= len(shop.ledger()) < 16

    shop.run(faults={"log": str(log)})  # in other shards and batches
    assert Counter(shop.statuses().values()) == {"ok": 16}
    assert len(shop.ledger()) == 16
    last = max(row["run_id"] for row in shop.ledger())
    early = {row["key"] for row in shop.ledger() if row["run_id"] != last}
    assert len(early) >= stopped + 4
    assert {attempted(log)[key] for key in early} == {1}, "what the ended runs published is left alone"
    images = list(Path(shop.output, "images").rglob("*.png"))
    assert len(images) == 16
    assert Counter(row["status"] for row in shop.results().values()) == {"ok": 16 - len(early), "skipped": len(early)}
