import json
from datetime import UTC, datetime, timedelta

import pytest

from idgen.errors import Exit, RunError
from idgen.report.progress import StatusCounts, progress_record
from idgen.report.status import format_runs, format_status, list_runs, run_status
from idgen.stores.local import LocalStore

COUNTS = StatusCounts(asked=1000, ok=400, rejected=20, failed=10, skipped=70)


@pytest.fixture
def store(tmp_path):
    return LocalStore(str(tmp_path))


def write(store, run_id, name, value):
    store.put(f"runs/{run_id}/{name}", json.dumps(value).encode())


def later(seconds):
    return datetime.now(UTC) + timedelta(seconds=seconds)


def test_a_running_run_shows_counts_rate_eta_and_age(store):
    write(store, "a", "progress.json", progress_record("a", COUNTS, 2.0))
    words = format_status(run_status(store, "a", later(12)))
    assert "run a: running" in words
    assert "ok 400  rejected 20  failed 10  skipped 70  left 500  2 images/s  ETA 4 min" in words
    assert "last written 12 s ago" in words
    assert "dead" not in words


def test_a_run_whose_driver_is_silent_is_called_stale(store):
    write(store, "a", "progress.json", progress_record("a", COUNTS, 2.0))
    status = run_status(store, "a", later(300))
    assert status.state == "stale"
    assert "last written 5 min ago; older than 60 s: the driver may be dead" in format_status(status)


def test_an_ended_run_shows_its_exit_code_and_is_never_stale(store):
    write(store, "a", "progress.json", progress_record("a", COUNTS, 2.0))
    write(store, "a", "summary.json", {"exit_code": 3, "counts": {"asked": 5, "ok": 4, "failed": 1}})
    status = run_status(store, "a", later(90_000))
    assert (status.state, status.exit_code, status.counts) == ("ended", 3, StatusCounts(asked=5, ok=4, failed=1))
    assert "ended with exit code 3" in format_status(status)
    assert "dead" not in format_status(status)


def test_a_clock_that_runs_behind_the_stores_gives_no_negative_age(store):
    write(store, "a", "progress.json", progress_record("a", COUNTS, 2.0))
    assert run_status(store, "a", later(-50)).age_s == 0.0


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'"x"', b'{"asked": null, "images_per_s": "x", "counts": 3}'])
def test_a_half_written_file_is_no_crash(store, content):
    store.put("runs/a/progress.json", content)
    assert run_status(store, "a").counts == StatusCounts(asked=0)
    assert "running" in format_status(run_status(store, "a"))


def test_a_run_that_has_only_planned_says_so(store):
    store.put("runs/a/config.yaml", b"x")
    assert "nothing written yet" in format_status(run_status(store, "a"))


def test_a_run_that_was_only_planned_shows_what_it_would_make(store):
    plan = {"asked": 1300, "to_make": 1234, "refused": {"bad_value": 6}, "skipped": {"ok": 60}}
    write(store, "a", "plan/summary.json", plan)
    status = run_status(store, "a", later(12))
    assert (status.state, status.to_make) == ("planned", 1234)
    assert status.counts == StatusCounts(asked=1300, rejected=6, skipped=60)
    assert "run a: planned, 1,234 to make" in format_status(status)
    assert "planned, 1,234 to make" in format_runs([status])
    write(store, "a", "progress.json", progress_record("a", COUNTS, 2.0))
    assert run_status(store, "a", later(12)).state == "running"


def test_an_unknown_run_is_a_usage_error_that_names_the_newest(store):
    write(store, "20260101", "summary.json", {})
    with pytest.raises(RunError, match="newest runs: 20260101") as caught:
        run_status(store, "nope")
    assert caught.value.exit_code == Exit.USAGE


def test_all_runs_are_listed_newest_first_without_reading_their_pictures(store):
    for run_id in ("20260101-a", "20260303-c", "20260202-b"):
        write(store, run_id, "progress.json", progress_record(run_id, COUNTS, None))
        store.put(f"runs/{run_id}/report/thumbs/x.jpg", b"x")
    runs = list_runs(store, limit=2)
    assert [run.run_id for run in runs] == ["20260303-c", "20260202-b"]
    lines = format_runs(runs).splitlines()
    assert len(lines) == 3
    assert "running" in lines[1]


def test_a_store_without_runs_says_so(store):
    assert format_runs(list_runs(store)) == "no runs yet"
