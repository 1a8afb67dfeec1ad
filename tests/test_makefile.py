"""Both lanes of tests run their two calls, whatever the first says."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FAKE = """#!/bin/sh
echo "called $*" >> calls
case "$*" in *"not cluster"*) exit $FIRST ;; *) exit $SECOND ;; esac
"""

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


@pytest.mark.parametrize("lane", ["test", "slow"])
@pytest.mark.parametrize(
    ("first", "second", "more", "code"),
    [(0, 0, "", 0), (1, 0, "", 1), (0, 1, "", 1), (2, 1, "", 2), (1, 3, "-k x", 3), (5, 0, "", 5), (0, 5, "-k x", 0),
     (5, 0, "-k x", 0), (5, 1, "-k 'x, y'", 1)],
)  # fmt: skip
def test_both_calls_run_and_the_worse_code_is_told(tmp_path, lane, first, second, more, code):
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    fake = tmp_path / "fake"
    fake.write_text(FAKE)
    fake.chmod(0o755)
    done = subprocess.run(
        ["make", "-s", "-f", ROOT / "Makefile", "-o", ".venv/.installed-dev", lane, "PYTEST=./fake",
         f"PYTEST_ARGS={more}"],
        cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "FIRST": str(first), "SECOND": str(second)},
    )  # fmt: skip
    without, with_cluster = (tmp_path / "calls").read_text().splitlines()
    assert "and not cluster and" in without
    assert "gpu and cluster and" in with_cluster
    told = re.search(r"Error (\d+)", done.stderr)
    assert (int(told[1]) if told else done.returncode) == code
