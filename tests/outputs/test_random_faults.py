"""Ledger and publisher under faults drawn at random, run after run on one catalogue, until a calm run ends it.

A run is what a driver does with both: merge the ledger, see what is done, publish the rest in batches. The store is a
real folder; a fault is an error before or after the change, a half written file, or the end of the process.
"""

import hashlib
import random
import sys
from collections import Counter
from contextlib import suppress

import pytest
from doubles.pictures import SIGNATURES, finished, picture

from idgen.config import ImagesConfig
from idgen.outputs import ledger
from idgen.outputs.compaction import compact
from idgen.outputs.publisher import Publisher
from idgen.stores.exclusive_names import TEMPORARY
from idgen.stores.local import LocalStore
from idgen.stores.protocol import StoreError

PICTURES = 12
CHANGES = ("put", "put_file", "copy", "delete")
READS = ("get", "head")


class KilledError(BaseException):
    """The process is gone: whatever it does next does not happen."""


class Faulty:
    """A folder whose calls break by dice; after "killed" all of them do."""

    def __init__(self, folder, dice, rate):
        self._store, self._dice, self._rate, self._killed = LocalStore(folder), dice, rate, False
        self.root, self.broken = self._store.root, Counter()

    def __getattr__(self, name):
        method = getattr(self._store, name)
        if name not in CHANGES + READS:
            return method

        def call(*arguments, **options):
            if self._killed:
                raise KilledError
            fault = self._fault(name)
            if fault:
                self.broken[fault] += 1
            if fault == "before":
                raise StoreError("503")
            if fault == "killed before":
                self._die(arguments)
            result = method(*arguments, **options)
            if fault == "after":
                raise StoreError("the answer got lost")
            if fault == "killed after":
                self._die(())
            return result

        return call

    def _fault(self, name):
        if self._dice.random() >= self._rate:
            return ""
        kinds = ["before"] if name in READS else ["before", "after", "killed before", "killed after"]
        return self._dice.choice(kinds)

    def _die(self, arguments):
        self._killed = True
        if arguments and isinstance(arguments[0], str):  # what was being written lies beside its place
            half = LocalStore(self.root)._target(arguments[0]).parent / f"{TEMPORARY}{self._dice.random()}"
            half.parent.mkdir(parents=True, exist_ok=True)
            half.write_bytes(b"half")
        raise KilledError


def run(store, run_id, dice):
    """Do what a run does; return the keys that it published."""
    published = []
    compact(store, run_id)
    table = ledger.dataset(store).to_table(columns=["key", "status"])
    done = {key for key, status in zip(*table.to_pydict().values(), strict=True) if status == "ok"}
    left = [one for one in (asked(n) for n in range(PICTURES)) if one["key"] not in done]
    dice.shuffle(left)
    target = Publisher(
        store,
        run_id=run_id,
        shard="s",
        shard_try=0,
        images=ImagesConfig(publishers=dice.choice([1, 2, 3])),
        signature_parameters=SIGNATURES,
        published=lambda rows: published.extend(row["key"] for row in rows if row["status"] == "ok"),
        part_patience_s=0.0,
        thumbnail_px=dice.choice([0, 16]),
    )
    try:
        size = dice.choice([1, 2, 3, 5])
        for first in range(0, len(left), size):
            batch = left[first : first + size]
            target.submit(batch, [finished(row["position"]) for row in batch], "sample", 1.0)
    finally:
        target.close()
    return published


def asked(number):
    return picture(number, width=8, height=8, output_name=f"n{number}")


def rows_of(folder):
    columns = ["key", "status", "image_path", "image_sha256"]
    return ledger.dataset(LocalStore(folder)).to_table(columns=columns).to_pylist()


def check(folder, done_before):
    """Every row that says ok has its image, whole, and no row went away; return the keys that are done."""
    done = set()
    for row in rows_of(folder):
        if row["status"] == "ok":
            done.add(row["key"])
            data = (folder / row["image_path"]).read_bytes()
            assert hashlib.sha256(data).hexdigest() == row["image_sha256"]
    assert done_before <= done
    return done


def history(folder, seed, most_runs=6):
    """Run under faults, then calmly; return how many runs had faults and what broke."""
    dice, broken, done = random.Random(seed), Counter(), set()
    rate = dice.choice([0.02, 0.05, 0.2])
    runs = 0
    while runs < most_runs:
        runs += 1
        store = Faulty(folder, random.Random(dice.random()), rate)
        with suppress(StoreError, KilledError):
            run(store, f"run-{dice.choice(['a', 'b'])}", dice)
        broken += store.broken
        done = check(folder, done)
        if dice.random() < 0.2:
            break
    run(LocalStore(folder), "run-c", dice)
    oks = Counter(row["key"] for row in rows_of(folder) if row["status"] == "ok")
    assert oks == Counter(asked(n)["key"] for n in range(PICTURES)), "each once"
    check(folder, done)
    names = {path.name: path for path in (folder / "images").rglob("[!.]*.png")}
    assert len(names) == PICTURES, "no image that nobody asked for"
    return runs, broken


def histories(folder, runs):
    """Play histories until that many runs with faults were made; return what broke."""
    done, seed, broken = 0, 0, Counter()
    while done < runs:
        count, kinds = history(folder / str(seed), seed)
        done, seed, broken = done + count, seed + 1, broken + kinds
    sys.stderr.write(
        f"{done} runs with faults in {seed} catalogues of {PICTURES} pictures: 0 lost, 0 twice; {dict(broken)}\n"
    )
    return broken


@pytest.mark.parametrize("runs", [60, pytest.param(10_000, marks=[pytest.mark.chaos, pytest.mark.timeout(7200)])])
def test_whatever_breaks_every_picture_ends_in_one_ok_row_with_its_image(tmp_path, runs):
    broken = histories(tmp_path, runs)
    assert min(broken[kind] for kind in ("before", "after", "killed before", "killed after")) >= 1
