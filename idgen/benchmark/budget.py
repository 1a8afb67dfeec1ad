"""The time budget of the blocks: what a quick one leaves goes to those after it."""

import time
from collections.abc import Sequence


class Budget:
    """A number of seconds from now on."""

    def __init__(self, seconds: float) -> None:
        self._end_s = time.monotonic() + seconds

    @property
    def left_s(self) -> float:
        """Seconds that are left, 0 when none are."""
        return max(0.0, self._end_s - time.monotonic())

    def part(self, weight: float, others: Sequence[float] = ()) -> "Budget":
        """Return the part of what is left that falls to `weight` beside the weights of those that come after."""
        return Budget(self.left_s * weight / (weight + sum(others)))
