"""What a run that was killed leaves, and what the same command does then. Most of these need no Ray."""

import json
import os
import tempfile
import time
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from doubles.catalogue import PHOTOS, InProcess, rows

from idgen.outputs.lease import LEASE_PATH, Lease

CANARY = "c4n4ry51gn4tur3"
NAMED = "run.id=night"
SIGNED = f"https://shop.example/a.png?X-Amz-Signature={CANARY}"


@pytest.fixture
def shop(tmp_path):
    """A catalogue whose rows are all refused by the plan, so that a run has much to tell and needs no Ray."""
    made = InProcess(tmp_path)
    made.write([{"row_id": f"r{n}", "photo": SIGNED, "prompt": None} for n in range(3)])
    return made


def forget_lease(shop):
    """Spare the wait of a lease's lifetime for a driver that is known to be dead."""
    Path(shop.output, LEASE_PATH).unlink(missing_ok=True)


def files(shop, run="night"):
    folder = Path(shop.output, "runs", run)
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_plan_under_the_name_of_a_run_that_goes_on_takes_and_changes_nothing_of_it(tmp_path):
    shop = InProcess(tmp_path)
    shop.write([{**row, "photo": f"{PHOTOS}/{row['photo']}.png"} for row in rows(3)])
    shop.killed_at("idgen.driver.run:print_plan", "after", NAMED)  # as it stands while the line begins
    before = files(shop)
    assert "plan/index.parquet" in before
    assert "plan/shards-00000.parquet" in before
    shop.write([{"row_id": "other", "photo": "ada", "prompt": None}])
    text = shop.run(NAMED, job="plan", expect=0)
    assert "1 pictures asked for" in text
    assert "run night has begun: its own plan stays" in text
    assert files(shop) == before


def test_a_plan_that_is_killed_leaves_no_address_in_the_output(shop):
    shop.killed_at("idgen.driver.run:print_plan", "before", NAMED, job="plan")
    assert not [name for name in files(shop) if name.endswith(".parquet")]


@pytest.mark.parametrize(
    ("point", "when", "share", "code"),
    [
        ("idgen.driver.finish:_record_refusals", "after", 0.5, 3),
        ("idgen.driver.finish:write_results", "after", 1, 0),
        ("idgen.driver.finish:gallery_of", "before", 0.5, 3),
        ("idgen.driver.finish:gallery_of", "after", 1, 0),
        ("idgen.outputs.run_folder:RunFolder.finish", "before", 1, 0),
    ],
)
def test_the_same_command_finishes_what_a_driver_killed_before_the_last_file_left(shop, point, when, share, code):
    words = (NAMED, f"run.max_failed_fraction={share}", "report.enabled=true")
    shop.killed_at(point, when, *words)
    forget_lease(shop)
    assert "_SUCCESS" not in files(shop)
    shop.run(*words, expect=code)
    summary = json.loads(files(shop)["summary.json"])
    assert (summary["exit_code"], summary["asked"], summary["rejected"]) == (code, 3, 3)
    assert ("_SUCCESS" in files(shop)) == (code == 0)
    assert "report/index.html" in files(shop)
    assert Counter(row["status"] for row in shop.ledger()) == {"rejected": 3}


def test_a_driver_whose_run_another_one_goes_on_with_leaves_that_ones_files_alone(shop, monkeypatch):
    shop.write([{**row, "photo": f"{PHOTOS}/{row['photo']}.png"} for row in rows(3)])
    monkeypatch.setattr(Lease, "is_taken_by_namesake", lambda _: True)
    shop.run(NAMED, "run.commercial=true", expect=4)
    assert "summary.json" not in files(shop)
    assert "plan/index.parquet" in files(shop)
    monkeypatch.undo()
    shop.run(NAMED, "run.commercial=true", expect=4)
    assert "summary.json" in files(shop)
    assert not [name for name in files(shop) if name.endswith(".parquet")]


def test_only_success_means_ended(shop):
    shop.run(NAMED)
    assert "run night has ended" in shop.run(NAMED, expect=2)
    Path(shop.output, "runs", "night", "_SUCCESS").unlink()
    shop.run(NAMED)
    assert "_SUCCESS" in files(shop)


def test_a_run_goes_on_under_its_name_after_another_run_put_its_ledger_parts_together(shop):
    words = (NAMED, "run.max_failed_fraction=0.5")
    shop.run(*words, expect=3)
    shop.run("run.id=between")
    assert not list(Path(shop.output, "ledger", "parts", "night").glob("*"))
    shop.write([{"row_id": f"r{n}", "photo": SIGNED, "prompt": None} for n in range(5)])
    shop.run(*words, expect=3)
    assert len({row["key"] for row in shop.ledger()}) == 5
    assert json.loads(files(shop)["summary.json"])["rejected"] == 5


def test_the_next_run_removes_what_a_killed_one_left_and_verify_counts_it_before(shop, tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    shop.run("run.id=earlier", "run.max_failed_fraction=1")  # so that there is a ledger
    shop.write([{"row_id": f"r{n}", "photo": SIGNED, "prompt": f"portrait {n}"} for n in range(3)])
    shop.killed_at("idgen.driver.run:print_plan", "after", NAMED)
    draft = Path(shop.output, "images", "ab", f".tmp-{'0' * 32}")
    draft.parent.mkdir(parents=True)
    draft.write_bytes(b"half")
    os.utime(draft, times=(0, 0))
    assert canary_in(tmp_path)

    assert "runs/night" not in shop.run(job="verify"), "its lease may be alive"
    forget_lease(shop)
    text = shop.run(job="verify")
    assert "leftovers: 4  (images/ab/.tmp-00000000000000000000000000000000, runs/night/plan/index.parquet, " in text
    assert "temporary folders of runs that died on this machine: 1" in text

    shop.write([{"row_id": "other", "photo": "ada", "prompt": None}])
    text = shop.run("run.id=next")
    assert "was removed: 4 files" in text
    shop.manifest.unlink()
    assert not canary_in(tmp_path)
    assert not draft.exists()
    assert list((tmp_path / "temporary").iterdir()) == []
    assert "leftovers" not in shop.run(job="verify")


def canary_in(folder):
    """Files that hold the canary, in plain bytes or in a Parquet cell."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file():
            text = path.read_bytes()
            if path.suffix == ".parquet":
                text += str(pq.read_table(path).to_pylist()).encode()
            if CANARY.encode() in text:
                found.append(path)
    return found


@pytest.mark.cluster
def test_what_a_killed_run_had_made_counts_as_made_when_it_is_finished_under_its_name(tmp_path):
    shop = InProcess(tmp_path)
    shop.write(rows(2))
    shop.killed_at("idgen.outputs.run_folder:RunFolder.finish", "before", NAMED, "report.enabled=true")
    forget_lease(shop)
    shop.run(NAMED, "report.enabled=true")
    summary = json.loads(files(shop)["summary.json"])
    assert (summary["exit_code"], summary["ok"], summary["ok_before"], summary["skipped"]) == (0, 2, 2, 0)
    assert {row["status"] for row in shop.results().values()} == {"ok"}
    assert "_SUCCESS" in files(shop)


@pytest.mark.cluster
def test_a_plan_beside_a_run_of_its_name_costs_that_run_nothing(tmp_path):
    shop = InProcess(tmp_path)
    shop.write(rows(8))
    process = shop.start(NAMED, "sampling.batch_size=2", "planner.shard_seconds=8", faults={"sleep_s": 0.5})
    deadline = time.monotonic() + 200
    while not shop.ledger():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert "run night has begun" in shop.run(NAMED, job="plan")
    text, _ = process.communicate(timeout=200)
    assert process.returncode == 0, text[-4000:]
    assert Counter(shop.statuses().values()) == {"ok": 8}
