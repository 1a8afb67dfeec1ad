"""A crash before every change that a run makes in its store, on a folder and on S3: what the same command finds.

The table of jobs/README.md is tested line by line: each change of a run is in one line of it.
"""

import random
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from doubles.catalogue import ROOT, Catalogue, rows
from doubles.crash_server import CRASHED, CrashServer

from idgen.outputs import ledger
from idgen.outputs.verify import verify
from idgen.stores.opening import open_store

pytestmark = pytest.mark.timeout(3600)
WORDS = ("images.publishers=1", "sampling.batch_size=2", "report.enabled=true")
PICTURES, BEFORE = 6, 2
NOT_STEPS = re.compile(r"put (lease\.json (?!1$)|runs/night/(progress\.json|logs/))")
"""Written by the clock, or where something is to be told."""


class Shop(Catalogue):
    """A catalogue with two pictures of an earlier run, and a manifest that asks for four more."""

    def __init__(self, folder: Path, output: str, jobs: CrashServer):
        super().__init__(folder, output)
        self.jobs = jobs
        self.store = open_store(output)
        self.steps: list[str] = []

        self.ask(BEFORE)
        code, _, printed = jobs.run(self.words(*WORDS, "run.id=evening"))
        assert code == 0, printed
        self.evening = {found.path: self.store.get(found.path) for found in self.store.list("")}
        self.ask(PICTURES)

    def begin(self):
        """Have the catalogue as the earlier run left it."""
        self.store.delete([found.path for found in self.store.list("")])
        for path, data in self.evening.items():
            self.store.put(path, data)

    def ask(self, count):
        """Write the manifest."""
        self.write([{**row, "output_name": f"shop/{row['row_id']}"} for row in rows(count)])

    def night(self, before=""):
        """Run, up to a change of the store; return exit code and what was printed."""
        code, changes, printed = self.jobs.run(self.words(*WORDS, "run.id=night"), before=before)
        self.steps = [step for step in changes if not NOT_STEPS.match(step)]
        return code, printed

    def morning(self):
        """Run once more under another id, and leave no trace of it."""
        code, _, printed = self.jobs.run(self.words(*WORDS, "run.id=morning"))
        assert code == 0, printed
        self.store.delete([found.path for found in self.store.list("runs/morning/")])

    def state(self):
        """All that a run leaves, without what names times and tries or tells of work in progress."""
        found = {info.path: self.store.get(info.path) for info in self.store.list("")}
        kept = {path: data for path, data in found.items() if path.startswith(("images/", "named/", "thumbs/"))}
        names = sorted(path for path in found if not re.match(r"ledger/|runs/[^/]+/(logs/|progress\.json)", path))
        columns = ["key", "status", "image_sha256", "run_id", "seed"]
        table = ledger.dataset(self.store).to_table(columns=columns).to_pylist()
        filesystem, root = self.store.filesystem()
        results = pq.read_table(f"{root}/runs/night/results.parquet", filesystem=filesystem).to_pylist()
        told = [[row[name] for name in ("row_id", "key", "image_path", "named_path")] for row in results]
        done = {row["status"] for row in results}
        assert done <= {"ok", "skipped"}
        return kept, names, sorted(tuple(row.values()) for row in table), told

    def done(self):
        """Keys in the ledger."""
        return set(ledger.dataset(self.store).to_table(columns=["key"])["key"].to_pylist())


@pytest.fixture(scope="module", params=["folder", "s3"])
def calm(request, tmp_path_factory):
    """A shop, and what it has after a night without a crash."""
    folder = tmp_path_factory.mktemp(request.param)
    environment = {}
    if request.param == "s3":
        server = request.getfixturevalue("s3_server")
        server.make_bucket("crashes")
        environment = server.environment
    with pytest.MonkeyPatch.context() as patch, CrashServer(folder, environment) as jobs:
        for name, value in environment.items():
            patch.setenv(name, value)
        shop = Shop(folder, "s3://crashes/shop" if environment else str(folder / "out"), jobs)
        shop.begin()
        code, printed = shop.night()
        assert code == 0, printed
        yield shop, list(shop.steps), shop.state()


def table():
    """(pattern of changes, words on the pictures that are left to make) of each line of the page's table."""
    page = (ROOT / "jobs" / "README.md").read_text()
    lines = page.split("| A crash before", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("| ").split("|")] for line in lines]
    return [(re.compile(_pattern(first)), last) for first, *_, last in cells]


def _pattern(cell):
    """`put images/…` in a cell, several of them."""
    steps = re.findall(r"`([^`]+)`", cell)
    return "|".join(re.sub("…$", ".*", re.escape(step)).replace("…", "[^/]+") + r" \d+$" for step in steps)


def crash(shop, step, expected):
    """Crash before a change, then the same command: all is as after a calm night."""
    shop.begin()
    code, printed = shop.night(before=step)
    assert code == CRASHED, (step, printed)
    left = PICTURES - len(shop.done())
    assert verify(shop.store, hashes=True).sound, step
    if shop.store.head("runs/night/_SUCCESS"):
        assert shop.night()[0] == 2
        shop.morning()
    else:
        code, printed = shop.night()
        assert code == 0, (step, printed)
        assert f"to make {left}" in printed
    for found, wanted in zip(shop.state(), expected, strict=True):
        assert found == wanted, (step, sorted({*map(str, found)} ^ {*map(str, wanted)}))
    assert not verify(shop.store, hashes=True).orphans
    if "://" not in shop.store.root:
        assert not list(Path(shop.store.root).rglob(".tmp-*")), step
    return left


@pytest.mark.slow
def test_every_change_of_a_run_is_in_one_line_of_the_page(calm):
    _, steps, _ = calm
    lines = table()
    for step in steps:
        assert sum(bool(pattern.match(step)) for pattern, _ in lines) == 1, step
    for pattern, _ in lines:
        assert any(pattern.match(step) for step in steps), pattern


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(table())))
def test_a_crash_at_each_line_of_the_page_ends_as_a_calm_night_with_the_same_command(calm, number):
    shop, steps, expected = calm
    pattern, told = table()[number]
    step = random.Random(number).choice([step for step in steps if pattern.match(step)])
    left = crash(shop, step, expected)
    assert {"all": left == PICTURES - BEFORE, "none": left == 0}.get(told, left <= PICTURES - BEFORE), (step, left)


@pytest.mark.chaos
def test_a_crash_before_each_single_change_ends_as_a_calm_night_with_the_same_command(calm):
    shop, steps, expected = calm
    for step in steps:
        crash(shop, step, expected)
