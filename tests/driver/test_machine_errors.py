"""A full temporary folder, or too little memory for the plan: one line, an exit code, nothing half."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from doubles.catalogue import ROOT, InProcess, rows

SMALL = ["unshare", "-rm", "sh", "-c"]
"""A name space of one's own, where a file system of a few MB can be mounted without any right."""


def can_mount():
    return subprocess.run([*SMALL, "mount -t tmpfs -o size=1m none /mnt"], capture_output=True).returncode == 0


@pytest.fixture
def shop(tmp_path):
    made = InProcess(tmp_path)
    made.write([{**row, "prompt": os.urandom(1900).hex()} for row in rows(1000)])
    return made


@pytest.mark.skipif(not can_mount(), reason="no file system can be mounted here")
@pytest.mark.parametrize("job", ["plan", "generate"])
@pytest.mark.parametrize("size", ["100k", "3m"])  # the staged manifest takes 2 MB, and so does what is asked for
def test_a_full_temporary_folder_is_one_line_and_exit_6(shop, tmp_path, job, size):
    small = tmp_path / "small"
    small.mkdir()
    words = shlex.join([sys.executable, f"jobs/{job}.py", *shop.words("run.id=a")])
    done = subprocess.run(
        [*SMALL, f"mount -t tmpfs -o size={size} none {small} && exec {words}"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(small), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 6, done.stdout + done.stderr
    assert f"error: {small} is full: make room, or set TMPDIR to another folder (" in done.stderr
    assert "Traceback" not in done.stderr
    assert "bug" not in done.stderr
    if job == "generate":
        assert "is full" in shop.summary()["error"]
    assert not list(Path(shop.output).rglob("plan/*.parquet"))


def test_too_little_memory_for_the_plan_names_its_setting(shop):
    assert "planner.memory_mb=1 is too little" in shop.run("planner.memory_mb=1", job="plan", expect=2)
