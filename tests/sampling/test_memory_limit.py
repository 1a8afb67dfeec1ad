"""Batches on a device with too little memory: the real sampler, and torch that fails when a limit would be passed."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from doubles.memory_limit import MemoryLimit
from doubles.tiny_recipe import BUCKET, row_for

from idgen.errors import Code, RowError
from idgen.sampling import batches
from idgen.sampling.batches import BatchSize, OutOfMemory
from idgen.sampling.sampler import Sampler

BUCKET_2 = replace(BUCKET, num_inference_steps=2)


@pytest.fixture(scope="module")
def own(sampler):
    """The shared weights with caches of their own."""
    return Sampler(sampler.base, sampler.adapters, sampler.device)


@pytest.fixture(scope="module")
def rows(own):
    from doubles.tiny_recipe import TINY

    return [row_for(TINY, number, prompt=f"prompt {number}") for number in range(7)]


def empty(sampler):
    sampler.conditioner.clear()
    sampler.release()


@pytest.fixture(scope="module")
def needs(own, rows):
    """Bytes at the peak of a first batch, by its rows."""
    peaks = {}
    for count in (1, 2, 4):
        empty(own)
        with MemoryLimit() as limit:
            own.sample(rows[:count], BUCKET_2)
        peaks[count] = limit.peak_bytes
    empty(own)
    assert 1.5 * peaks[1] < peaks[2] < peaks[4] / 1.5
    return peaks


def run(sampler, rows, size):
    """Return sizes asked for, those that came back, and the results by row's key."""
    asked = []

    def sample(batch, bucket):
        asked.append(len(batch))
        return sampler.sample(batch, bucket)

    made = list(batches.run(rows, BUCKET_2, size, sample))
    results = [(row.key, one) for batch in made for row, one in zip(batch.rows, batch.results, strict=True)]
    assert [key for key, _ in results] == [row.key for row in rows], "each once, in order"
    return asked, [len(batch.rows) for batch in made], [one for _, one in results]


def test_a_shard_is_halved_until_it_fits_and_stays_so(own, rows, needs):
    _, _, in_twos = run(own, rows, BatchSize(2))
    _, _, in_fours = run(own, rows, BatchSize(4))
    empty(own)
    size = BatchSize(4)
    with MemoryLimit((needs[2] + needs[4]) // 2) as limit:
        asked, came, pictures = run(own, rows, size)
        assert limit.shortages == 2, "with full caches and with empty ones"
        again, _, _ = run(own, rows[:4], size)
    assert asked == [4, 2, 2, 2, 1]
    assert came == [2, 2, 2, 1]
    assert again == [2, 2]
    for picture, same, near in zip(pictures, in_twos, in_fours, strict=True):
        assert np.array_equal(picture, same)
        assert np.abs(picture.astype(int) - near).max() <= 2, "rounding"


def test_where_not_even_one_row_fits_each_row_says_so_and_the_process_goes_on(own, rows, needs):
    empty(own)
    size = BatchSize(4)
    with MemoryLimit(needs[1] // 2) as limit:
        asked, came, results = run(own, rows[:3], size)
        assert asked == [3, 1, 1, 1]
        assert came == [1, 1, 1]
        limit.max_bytes = needs[2]
        assert run(own, rows[:1], size)[2][0].shape == (64, 64, 3)
    assert all(isinstance(one, RowError) and one.code == Code.OUT_OF_MEMORY for one in results)
    assert all("Tried to allocate" in one.detail and "\n" not in one.detail for one in results)


@pytest.mark.parametrize("fraction", [0.02, 0.3, 0.6, 0.9])
def test_nothing_of_a_batch_that_did_not_fit_is_kept_wherever_it_failed(own, rows, needs, fraction):
    own.sample(rows[:1], BUCKET_2)  # what adapters keep for good
    with MemoryLimit() as limit:
        empty(own)
        own.sample(rows[:1], BUCKET_2)
        empty(own)
        before = limit.live_bytes
        limit.max_bytes = before + int(fraction * needs[4])
        with pytest.raises(OutOfMemory) as caught:
            own.sample(rows[:4], BUCKET_2)
        assert caught.value.__context__ is None
        assert limit.live_bytes == before
    assert limit.shortages == 2


def test_caches_are_emptied_before_a_batch_is_halved(own, rows, needs):
    """There is room for two rows, but not beside the prompts of twenty others."""
    empty(own)
    own.sample(rows[:2], BUCKET_2)
    empty(own)
    with MemoryLimit() as limit:
        own.conditioner.prompts.get([f"another {number}" for number in range(20)])
        kept = limit.live_bytes
        limit.max_bytes = needs[2] + kept // 2
        pictures = own.sample(rows[:2], BUCKET_2)
        assert limit.shortages == 1
    assert all(isinstance(picture, np.ndarray) for picture in pictures)
    assert len(own.conditioner.prompts._entries) < 20


def test_the_double_counts_what_is_held_once_and_no_more():
    outside = torch.zeros(1000)
    with MemoryLimit(20_000) as limit:
        made = torch.ones(1000)
        views = [made.view(10, 100), outside.view(10, 100)]
        made.add_(1)
        outside.mul_(2)
        assert limit.live_bytes == 4000
        del made
        assert limit.live_bytes == 4000
        with torch.inference_mode(), pytest.raises(torch.OutOfMemoryError):
            torch.nn.functional.linear(views[0].new_ones(100, 100)[:, :50], outside.new_ones(100, 50))
        del views
    assert (limit.live_bytes, limit.peak_bytes > 20_000, limit.shortages) == (0, True, 1)
