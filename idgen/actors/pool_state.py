"""The state of the actor pools: what users are told while they wait, and when a stop ends the line.

Actors hear of a stop from the run's monitor. Those that the cluster has no room for hear nothing, and Ray would wait
for them for half an hour. No Ray here: pool_probe.py brings what its loop knows.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from idgen.actors.pool_sizes import Pool, wanted

IDLE_AFTER_STOP_S = 5.0
"""What is left of a stopped run's shards goes through idle actors faster than that."""
TOLD_AFTER_S = 5.0
"""Ray needs a moment to find a place that is there."""


class LineLeftError(Exception):
    """A stop was asked for and no actor has work in hand: the line was left as it was."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """A pool of actors as it stands now."""

    kind: str
    """What one is called: face actor, sampling actor, text actor."""
    pool: Pool
    placed: int
    """Actors that have a process, those that are still starting in it included."""
    busy: int
    """Actors that are up and have work in hand."""


class PoolState:
    """One for a whole run. `stopping` tells whether a stop was asked for."""

    def __init__(self, stopping: Callable[[], bool] = lambda: False) -> None:
        self.waiting = ""
        """What the run waits for, in words; "" while every pool has an actor, or no line runs."""
        self._stopping = stopping
        self._busy_at_s = self._placed_at_s = time.monotonic()

    def look(self, pools: Sequence[Standing]) -> None:
        """Take how a line's pools stand. Raises LineLeftError after a stop, once nobody was at work for a while."""
        now_s = time.monotonic()
        without = [one for one in pools if not one.placed]
        self._placed_at_s = self._placed_at_s if without else now_s
        self.waiting = _waiting(without[0]) if without and now_s - self._placed_at_s > TOLD_AFTER_S else ""
        if any(one.busy for one in pools) or not self._stopping():
            self._busy_at_s = now_s
        elif now_s - self._busy_at_s > IDLE_AFTER_STOP_S:
            raise LineLeftError

    def begin(self) -> None:
        """Begin a line, or end one: nothing is waited for so far."""
        self.waiting = ""
        self._busy_at_s = self._placed_at_s = time.monotonic()


def _waiting(standing: Standing) -> str:
    return f"waiting for {wanted(standing.pool)}: no {standing.kind} has a place yet"
