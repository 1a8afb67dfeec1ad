"""Runs pytest and reads how each test ended from the JUnit file that it writes."""

import os
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from idgen.benchmark.figures import PytestFigures
from idgen.benchmark.processes import ROOT, BlockError, run

TESTS = ROOT / "tests"


@dataclass(frozen=True, slots=True)
class End:
    """One test."""

    name: str
    outcome: Literal["passed", "failed", "skipped"]
    properties: Mapping[str, str]
    """What it recorded."""


def run_tests(words: Sequence[str], seconds: float, environment: Mapping[str, str]) -> tuple[list[End], str]:
    """Run pytest with `words`; return how each test ended, and why not all did: "" when they did.

    Without the project's conftest.py, which wants the developers' tools. Raises BlockError when pytest did not work.
    """
    if not TESTS.is_dir():
        raise BlockError(f"there is no {TESTS}: the tests come with a checkout only")
    with tempfile.TemporaryDirectory(prefix="idgen-pytest-") as folder:
        out = Path(folder, "junit.xml")
        pytest = [sys.executable, "-m", "pytest", "--noconftest", "-q", "-p", "no:cacheprovider", f"--junitxml={out}"]
        pytest += ["-o", "junit_family=xunit1"]  # the other one has no properties
        path = os.pathsep.join(filter(None, (str(TESTS), str(ROOT), os.environ.get("PYTHONPATH"))))
        late, ended = "", None
        try:
            ended = run([*pytest, *words], seconds, more={"PYTHONPATH": path, **environment})
        except BlockError as error:
            late = str(error)
        if not out.is_file():
            raise BlockError(late or f"pytest ended with {ended and ended.code}: {ended and ended.last_line}")
        return read(out.read_text()), late


def read(text: str) -> list[End]:
    """Return the tests of a JUnit file."""
    return [_one(case) for case in ET.fromstring(text).iter("testcase")]


def _one(case: ET.Element) -> End:
    found = {str(one.get("name")): str(one.get("value")) for one in case.iter("property")}
    kinds = {child.tag for child in case}
    outcome: Literal["passed", "failed", "skipped"] = "passed"
    if kinds & {"failure", "error"}:
        outcome = "failed"
    elif "skipped" in kinds:
        outcome = "skipped"
    return End(str(case.get("name")), outcome, found)


def count(figures: PytestFigures, tests: Sequence[End]) -> None:
    """Fill in the counts."""
    for outcome in ("passed", "failed", "skipped"):
        setattr(figures, outcome, sum(test.outcome == outcome for test in tests))
    figures.failures = [test.name for test in tests if test.outcome == "failed"]
