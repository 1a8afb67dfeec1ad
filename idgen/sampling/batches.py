"""Cuts the rows of one bucket into batches, and into smaller ones when the accelerator's memory is short."""

import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from idgen.errors import Code, RowError

Row = TypeVar("Row")
Result = TypeVar("Result")
B = TypeVar("B", bound=Hashable)


class OutOfMemory(Exception):  # noqa: N818
    """The batch does not fit; try fewer rows."""


class BatchSize:
    """Rows per batch, by bucket. What once was too much stays halved for the life of the actor."""

    def __init__(self, rows: int) -> None:
        self._rows = max(1, rows)
        self._by_bucket: dict[Hashable, int] = {}

    def rows(self, bucket: Hashable) -> int:
        """Return how many rows of `bucket` to sample at a time."""
        return self._by_bucket.get(bucket, self._rows)

    def halve(self, bucket: Hashable, tried: int) -> None:
        """Remember that `tried` rows were too many."""
        self._by_bucket[bucket] = max(1, tried // 2)


@dataclass(frozen=True, slots=True)
class Batch(Generic[Row, Result]):
    """What one call gave. `results` has one entry per row, in order."""

    rows: list[Row]
    results: list[Result | RowError]
    seconds: float


def run(
    rows: Sequence[Row],
    bucket: B,
    size: BatchSize,
    sample: Callable[[Sequence[Row], B], list[Result | RowError]],
    more: Callable[[], Sequence[Row]] = tuple,
) -> Iterator[Batch[Row, Result]]:
    """Yield the batches of `rows` in order as they finish; every row comes back exactly once.

    `more` is asked when less than a batch is left, until it has no rows: those that are to be sampled again. A row that
    does not fit alone comes back as RowError(OUT_OF_MEMORY). Other exceptions of `sample` pass through.
    """
    waiting = list(rows)
    while True:
        while len(waiting) < size.rows(bucket) and (further := more()):
            waiting.extend(further)
        if not waiting:
            return
        batch = waiting[: size.rows(bucket)]
        began = time.monotonic()
        results: list[Result | RowError]
        try:
            results = sample(batch, bucket)
        except OutOfMemory as error:
            size.halve(bucket, len(batch))
            if len(batch) > 1:
                continue
            results = [RowError(Code.OUT_OF_MEMORY, str(error))]
        yield Batch(batch, results, time.monotonic() - began)
        del waiting[: len(batch)]
