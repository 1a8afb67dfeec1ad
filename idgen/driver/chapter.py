"""A stretch of the line as the driver sees it: every row comes back, and what an actor raised comes out as it is."""

from collections.abc import Iterator
from typing import Any

from ray.data.exceptions import ExecutionTimeoutError
from ray.exceptions import RayActorError

from idgen.actors.remote_monitor import RemoteMonitor
from idgen.errors import Exit, RunError
from idgen.stores.protocol import StoreError

Counts = dict[str, Any]


def run_chapter(results: Iterator[Counts], planned: int, monitor: RemoteMonitor) -> list[Counts]:
    """Return what the tasks of a chapter of `planned` rows came back with. Raises RunError."""
    try:
        found = list(results)
    except Exception as error:
        raise _own(error) from error
    rows, left = (sum(counts[name] for counts in found) for name in ("rows", "left"))
    if rows != planned or (left and not monitor.stopping()):
        raise RunError(Exit.BUG, f"{planned} rows went into the line, {rows} came out, {left} of them not done")
    return found


def _own(error: BaseException) -> BaseException:
    """Find the RunError or StoreError inside what Ray raised."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, RunError):
            return seen
        if isinstance(seen, StoreError):
            return RunError(Exit.UNAVAILABLE, f"the output store stays away: {seen}")
        if isinstance(seen, ExecutionTimeoutError | RayActorError):
            return RunError(Exit.UNAVAILABLE, f"the line stands still or lost its monitor: {seen}")
        seen = getattr(seen, "cause", None) or seen.__cause__
    return error
