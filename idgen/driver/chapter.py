"""A stretch of the line as the driver sees it: every row comes back, and what an actor raised comes out as it is."""

import queue
import threading
import time
from collections.abc import Iterator
from typing import Any

from ray.data.exceptions import ExecutionTimeoutError
from ray.exceptions import RayActorError

from idgen.actors.remote_monitor import RemoteMonitor
from idgen.errors import Exit, RunError
from idgen.stores.protocol import StoreError

Counts = dict[str, Any]
IDLE_AFTER_STOP_S = 5.0
"""Actors that are placed say within it that they heard the stop; those that wait for a place never will."""
_LOOK_S = 1.0


def run_chapter(results: Iterator[Counts], planned: int, monitor: RemoteMonitor) -> list[Counts]:
    """Return what the tasks of a chapter of `planned` rows came back with. Raises RunError.

    After a stop the line is not waited for once no actor has work in hand: those that have no place hear nothing.
    """
    try:
        found, ended = _collect(results, monitor)
    except Exception as error:
        raise _own(error) from error
    if not ended:
        return found
    rows, left = (sum(counts[name] for counts in found) for name in ("rows", "left"))
    if rows != planned or (left and not monitor.stopping()):
        raise RunError(Exit.BUG, f"{planned} rows went into the line, {rows} came out, {left} of them not done")
    return found


def _collect(results: Iterator[Counts], monitor: RemoteMonitor) -> tuple[list[Counts], bool]:
    """Return what came back, and whether that is all. The line runs in a thread, as Ray waits in it without ears."""
    arrived: queue.Queue[Counts | BaseException | None] = queue.Queue()

    def run() -> None:
        """Put every result, then None or the error."""
        try:
            for counts in results:
                arrived.put(counts)
            arrived.put(None)
        except BaseException as error:
            arrived.put(error)

    threading.Thread(target=run, name="idgen-line", daemon=True).start()
    found: list[Counts] = []
    idle_since = time.monotonic()
    while True:
        try:
            item = arrived.get(timeout=_LOOK_S)
        except queue.Empty:
            progress = monitor.progress()
            if not progress.stop_reason or progress.in_hand:
                idle_since = time.monotonic()
            elif time.monotonic() - idle_since > IDLE_AFTER_STOP_S:
                return found, False
            continue
        idle_since = time.monotonic()
        if item is None:
            return found, True
        if isinstance(item, BaseException):
            raise item
        found.append(item)


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
