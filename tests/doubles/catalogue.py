"""A shop's catalogue in a folder: writes manifests, runs jobs as people do (a process each), reads what came out."""

import contextlib
import io
import json
import logging
import os
import runpy
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from unittest.mock import patch

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from doubles.worker_faults import ENVIRONMENT

ROOT = Path(__file__).resolve().parents[2]
PHOTOS = ROOT / "manifests" / "demo"
PEOPLE = ("ada", "ben", "cleo", "dan", "emi", "finn", "gia", "hana")


class Catalogue:
    """One output with its manifest."""

    address = ""
    """Of the Ray cluster that jobs join; empty = a local one each."""

    def __init__(self, folder: Path, output: str = "") -> None:
        self.folder = folder
        self.output = output or str(folder / "out")
        self.manifest = folder / "manifest.parquet"

    def write(self, rows):
        """Write the manifest; a photo is a name of PEOPLE or a URI."""
        columns = {name: [row.get(name) for row in rows] for name in dict.fromkeys(key for row in rows for key in row)}
        if "photo" in columns:
            uris = [f"{PHOTOS}/{photo}.png" if photo in PEOPLE else photo for photo in columns.pop("photo")]
            columns["reference_uri"] = uris
        pq.write_table(pa.table(columns), self.manifest)

    def words(self, *more):
        """The command line of a job on this catalogue, on the tiny world's random weights."""
        fixed = [f"manifest={self.manifest}", f"output={self.output}", f"sources.roots=[{PHOTOS}]"]
        quick = ["report.enabled=false", "run.max_failed_fraction=1"]
        return [str(ROOT / "configs" / "tiny.yaml"), *fixed, *quick, *more]

    def start(self, *more, job="generate", faults=None):
        """Start a job; with `faults` (tests/doubles/worker_faults.py) its workers misbehave."""
        python = [sys.executable, "-m", "doubles.driver"] if faults else [sys.executable, f"jobs/{job}.py"]
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", ENVIRONMENT: json.dumps(faults or {})}
        environment.pop("RAY_ADDRESS", None)
        if self.address:
            environment["RAY_ADDRESS"] = self.address
        return subprocess.Popen(
            [*python, *self.words(*more)],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *more, expect=0, **how):
        """Run a job to its end; return what it printed."""
        process = self.start(*more, **how)
        text, _ = process.communicate(timeout=400)
        assert process.returncode == expect, text[-6000:]
        return text

    def killed_at(self, point, when, *more, job="generate"):
        """Run a job that is killed before or after a step, such as `idgen.driver.finish:write_results`."""
        python = [sys.executable, "-m", "doubles.crash_points", point, when, job, *self.words(*more)]
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
        done = subprocess.run(python, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=400)
        assert done.returncode == -signal.SIGKILL, done.stdout[-3000:] + done.stderr[-3000:]

    def kill_when(self, process, published, timeout_s=200):
        """SIGKILL the driver alone once that many ledger rows are there; its local cluster dies with it."""
        self.signal_when(process, signal.SIGKILL, published, timeout_s)
        process.wait()

    def signal_when(self, process, number, published, timeout_s=200):
        """Send the driver a signal once that many ledger rows are there."""
        deadline = time.monotonic() + timeout_s
        while len({(row["key"], row["finished_at"]) for row in self.ledger()}) < published:
            assert process.poll() is None, process.stdout.read()[-6000:]
            assert time.monotonic() < deadline, "nothing was published in time"
            time.sleep(0.1)
        process.send_signal(number)

    def ledger(self):
        """All ledger rows, parts and compact files, as dicts."""
        for _ in range(10):
            files = [
                str(path) for path in Path(self.output, "ledger").rglob("*.parquet") if "damaged" not in path.parts
            ]
            with contextlib.suppress(FileNotFoundError):  # a run puts parts together meanwhile
                return ds.dataset(files).to_table().to_pylist() if files else []
        raise AssertionError("the ledger's files changed at each of ten looks")

    def statuses(self):
        """Status by key of the newest row; asserts that no picture was published ok twice."""
        rows = sorted(self.ledger(), key=lambda row: row["finished_at"])
        oks = Counter(row["key"] for row in rows if row["status"] == "ok")
        assert all(count == 1 for count in oks.values()), oks
        return {row["key"]: row["status"] for row in rows}

    def summary(self):
        """The newest run's summary.json."""
        return json.loads(max(Path(self.output, "runs").glob("*/summary.json"), key=os.path.getmtime).read_text())

    def results(self):
        """The newest run's results, by row_id."""
        path = max(Path(self.output, "runs").glob("*/results.parquet"), key=os.path.getmtime)
        return {row["row_id"]: row for row in pq.read_table(path).to_pylist()}


class InProcess(Catalogue):
    """One whose jobs are not a process each, which costs a second: for those that end before Ray starts.

    What C libraries print and what Python says at its end are not seen.
    """

    def run(self, *more, job="generate", expect=0):
        """Run jobs/<job>.py to its end; return what it printed."""
        printed, words = io.StringIO(), [f"jobs/{job}.py", *self.words(*more)]
        with contextlib.ExitStack() as stack:
            for change in (
                contextlib.redirect_stdout(printed),
                contextlib.redirect_stderr(printed),
                contextlib.chdir(ROOT),
                patch.object(sys, "argv", words),
                patch.dict(os.environ, RAY_ADDRESS="127.0.0.1:1"),
                patch.object(logging.getLogger(), "handlers", []),  # pytest's keep the job from having its own
            ):
                stack.enter_context(change)
            for number in (signal.SIGINT, signal.SIGTERM):
                stack.callback(signal.signal, number, signal.getsignal(number))
            with pytest.raises(SystemExit) as end:
                runpy.run_path(str(ROOT / words[0]), run_name="__main__")
        assert end.value.code == expect, printed.getvalue()[-6000:]
        return printed.getvalue()


def rows(count, **more):
    """`count` manifest rows over the drawn people, each with a prompt of its own."""
    return [
        {"row_id": f"r{i:03d}", "photo": PEOPLE[i % len(PEOPLE)], "prompt": f"portrait number {i}", **more}
        for i in range(count)
    ]
