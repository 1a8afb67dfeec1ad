"""Whole shards through the sampling actor on a device with too little memory; see doubles/memory_limit.py."""

from collections import Counter

import numpy as np
import pytest
import torch
from doubles.actors import RECIPE, Line, picture, pixels
from doubles.memory_limit import MemoryLimit

from idgen import weights
from idgen.sampling.sampler import Sampler

SHARD = range(1, 8)


@pytest.fixture(scope="module")
def identities():
    torch.set_num_threads(1)
    return {"tiny": weights.identity(RECIPE, cache=None)}


@pytest.fixture
def line(tmp_path, identities):
    return Line(tmp_path, identities)


@pytest.fixture
def asked(monkeypatch):
    """Rows of every call of the sampler."""
    original, rows = Sampler.sample, []

    def sample(self, batch, bucket):
        rows.append(len(batch))
        return original(self, batch, bucket)

    monkeypatch.setattr(Sampler, "sample", sample)
    return rows


def pictures(numbers, **changes):
    return [picture(number, **changes) for number in numbers]


def peak_bytes(line, count):
    """What a shard of `count` rows, one batch, needs beside the loaded weights."""
    table = line.analysed(pictures(range(100 * count, 101 * count)))
    empty(line)
    with MemoryLimit() as limit:
        line.sampler(table)
    return limit.peak_bytes


@pytest.fixture
def loaded(line):
    """The line with its recipe loaded, outside of any limit, and what 1, 2 and 4 rows need."""
    line.run(pictures([999]))
    return line, {count: peak_bytes(line, count) for count in (1, 2, 4)}


def empty(line):
    """Nothing of the shards before is there."""
    line.sampler._loaded.sampler.conditioner.clear()
    line.sampler._loaded.sampler.release()


def rows_of(line, numbers):
    ledger = line.ledger()
    return [ledger[f"{number:032x}"] for number in numbers]


@pytest.mark.slow
def test_a_shard_is_halved_and_published_whole_and_the_next_begins_halved(loaded, asked, tmp_path_factory, identities):
    line, needs = loaded
    tables = [line.analysed(pictures(SHARD)), line.analysed(pictures(range(11, 15)))]
    empty(line)
    asked.clear()
    with MemoryLimit((needs[2] + needs[4]) // 2) as limit:
        (counts,) = line.sampler(tables[0]).to_pylist()
        assert asked == [4, 2, 2, 2, 1]
        assert (counts["rows"], counts["published"], counts["left"]) == (7, 7, 0)
        line.sampler(tables[1])
    assert asked[5:] == [2, 2]
    assert limit.shortages == 2
    rows = rows_of(line, SHARD)
    assert [row["status"] for row in rows] == ["ok"] * 7
    assert [row["batch_rows"] for row in rows] == [2, 2, 2, 2, 2, 2, 1]
    roomy = Line(tmp_path_factory.mktemp("roomy"), identities)
    roomy.run(pictures(SHARD))
    assert {row["batch_rows"] for row in rows_of(roomy, SHARD)} == {4, 3}
    for number in SHARD:
        mine, other = (pixels(one, f"{number:032x}").astype(int) for one in (line, roomy))
        assert np.abs(mine - other).max() <= 2, "rounding"


@pytest.mark.slow
def test_rows_that_do_not_fit_alone_are_told_and_another_bucket_is_sampled(loaded, asked):
    line, needs = loaded
    tables = [line.analysed(pictures(SHARD)), line.analysed(pictures([21], num_inference_steps=1, width=32, height=32))]
    empty(line)
    with MemoryLimit(needs[1] // 2) as limit:
        (counts,) = line.sampler(tables[0]).to_pylist()
        held = limit.live_bytes
        limit.max_bytes = needs[2]
        line.sampler(tables[1])
    assert (counts["published"], counts["left"]) == (7, 0)
    rows = rows_of(line, SHARD)
    assert Counter((row["status"], row["code"]) for row in rows) == {("failed", "out_of_memory"): 7}
    assert held == 0
    assert rows_of(line, [21])[0]["status"] == "ok"
    assert line.monitor.progress().counts["loads"] == 1


@pytest.mark.slow
def test_what_was_halved_stays_so_when_another_recipe_was_loaded_between(loaded, asked):
    line, needs = loaded
    first, other, last = (
        line.analysed(pictures(numbers, **changes))
        for numbers, changes in (
            (range(31, 35), {}),
            (range(41, 42), {"lora_scale": 0.5, "load_group": "other"}),
            (range(51, 55), {}),
        )
    )
    empty(line)
    asked.clear()
    with MemoryLimit((needs[2] + needs[4]) // 2):
        line.sampler(first)
    line.sampler(other)
    line.sampler(last)
    assert asked == [4, 2, 2, 1, 2, 2]
    assert line.monitor.progress().counts["loads"] == 3
