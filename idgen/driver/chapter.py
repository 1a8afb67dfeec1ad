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
    """Find the RunError or StoreError inside what Ray raised, innermost first: Ray's copy of it is a traceback."""
    for seen in reversed(_chain(error)):
        if isinstance(seen, RunError):
            return seen
        if isinstance(seen, StoreError):
            return RunError(Exit.UNAVAILABLE, f"the output store stays away: {_first_line(seen)}")
        if isinstance(seen, ExecutionTimeoutError | RayActorError):
            return RunError(Exit.UNAVAILABLE, f"the line stands still or lost its monitor: {_first_line(seen)}")
    return error


def _chain(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    seen: object = error
    while isinstance(seen, BaseException):
        found.append(seen)
        seen = getattr(seen, "cause", None) or seen.__cause__
    return found


def _first_line(error: BaseException) -> str:
    """Of what Ray says, the rest is tracebacks."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
