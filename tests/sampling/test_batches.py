"""Batches shrink until they fit, and no row is lost on the way."""

import pytest

from idgen.errors import Code, RowError
from idgen.sampling import batches
from idgen.sampling.batches import BatchSize, OutOfMemory


class Memory:
    """A sampler that holds at most `most` rows and remembers what it was asked."""

    def __init__(self, most):
        self.most = most
        self.asked = []

    def __call__(self, rows, bucket):
        self.asked.append(len(rows))
        if len(rows) > self.most:
            raise OutOfMemory("no room")
        return [f"{bucket}:{row}" for row in rows]


@pytest.mark.parametrize("most", [1, 2, 3, 5, 8, 100])
@pytest.mark.parametrize("count", [0, 1, 7, 8, 19])
def test_every_row_comes_back_once_in_order_whatever_fits(most, count):
    made = list(batches.run(range(count), "b", BatchSize(8), Memory(most)))
    assert [row for batch in made for row in batch.rows] == list(range(count))
    assert [one for batch in made for one in batch.results] == [f"b:{row}" for row in range(count)]
    assert all(len(batch.rows) <= most and batch.seconds >= 0 for batch in made)


def test_a_size_that_was_too_much_is_not_tried_again_for_that_bucket():
    size, memory = BatchSize(8), Memory(3)
    list(batches.run(range(8), "b", size, memory))
    assert memory.asked == [8, 4, 2, 2, 2, 2]
    list(batches.run(range(4), "b", size, memory))
    assert memory.asked[6:] == [2, 2]
    assert (size.rows("b"), size.rows("other")) == (2, 8)


def test_a_row_that_does_not_fit_alone_fails_and_the_others_go_on():
    def sample(rows, _bucket):
        if "big" in rows:
            raise OutOfMemory("no room")
        return list(rows)

    made = list(batches.run(["a", "big", "c"], "b", BatchSize(4), sample))
    assert [batch.rows for batch in made] == [["a"], ["big"], ["c"]]
    error = made[1].results[0]
    assert isinstance(error, RowError)
    assert error.code == Code.OUT_OF_MEMORY
    assert made[2].results == ["c"]


def test_batches_come_as_they_finish():
    memory = Memory(2)
    running = batches.run(range(4), "b", BatchSize(2), memory)
    next(running)
    assert memory.asked == [2]


def test_other_errors_pass_through():
    def sample(_rows, _bucket):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(batches.run([1], "b", BatchSize(2), sample))
