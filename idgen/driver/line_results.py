"""What comes back from the line: counts of every row, or the error that an actor raised."""

import re
from collections.abc import Iterator

from ray.data.exceptions import ExecutionTimeoutError
from ray.exceptions import RayActorError

from idgen.actors.pool_state import LineLeftError
from idgen.errors import Exit, RunError
from idgen.pipeline import Line
from idgen.stores.protocol import StoreError
from idgen.values import Cell

ShardCounts = dict[str, Cell]
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def collect_results(results: Iterator[ShardCounts], planned: int, line: Line) -> list[ShardCounts]:
    """Return what the line's tasks gave for `planned` rows; fewer after a stop. Raises RunError."""
    found: list[ShardCounts] = []
    try:
        for counts in results:
            found.append(counts)  # one by one: a line that is left has done what it has done
    except LineLeftError:
        line.pool_state.begin()
        return found
    except Exception as error:
        raise _own(error, line.pool_state.waiting) from error
    rows, left = (sum(counts[name] for counts in found) for name in ("rows", "left"))
    if rows != planned or (left and not line.monitor.stopping()):
        raise RunError(Exit.BUG, f"{planned} rows went into the line, {rows} came out, {left} of those are not done")
    return found


def _own(error: BaseException, waiting: str) -> BaseException:
    """Find the RunError or StoreError inside what Ray raised, innermost first: Ray's copy of it is a traceback."""
    for seen in reversed(_chain(error)):
        if isinstance(seen, RunError):
            return seen
        if isinstance(seen, StoreError):
            return RunError(Exit.UNAVAILABLE, f"the output store cannot be reached: {_first_line(seen)}")
        if isinstance(seen, ExecutionTimeoutError):
            return RunError(Exit.UNAVAILABLE, f"the run makes no progress: {waiting or _first_line(seen)}")
        if isinstance(seen, RayActorError):
            return RunError(Exit.UNAVAILABLE, f"the run lost its monitor or an actor: {_reason(seen)}")
    return error


def _chain(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    seen: object = error
    while isinstance(seen, BaseException):
        found.append(seen)
        seen = getattr(seen, "cause", None) or seen.__cause__
    return found


def _first_line(error: BaseException) -> str:
    """The rest of what Ray says is tracebacks."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _reason(error: RayActorError) -> str:
    """Return why an actor died, without the colours: what it raised when it was made stands below its traceback."""
    lines = _COLOURS.sub("", str(error)).splitlines()
    return next((line.strip() for line in reversed(lines) if line[:1].strip()), type(error).__name__)
