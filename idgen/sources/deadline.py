"""One time limit for one whole file, and the tries that fit into it."""

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator

from idgen.errors import Code, RowError

TRIES = 4
FIRST_WAIT_S = 0.2


class Deadline:
    """The moment by which a whole file must have come, however it comes."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._at = time.monotonic() + seconds

    def passed(self) -> bool:
        """Return whether the time is over."""
        return time.monotonic() >= self._at

    def left_s(self) -> float:
        """Return the seconds left, more than 0; raises RowError `fetch_timeout` when there are none."""
        left = self._at - time.monotonic()
        if left <= 0:
            raise self.error()
        return left

    def error(self) -> RowError:
        """Return the error of a file that came too slowly."""
        return RowError(Code.FETCH_TIMEOUT, f"not complete after {self.seconds:g} s")

    @contextlib.contextmanager
    def cutting(self, cut: Callable[[], object]) -> Iterator[None]:
        """Call `cut` from another thread at the deadline, unless the block has ended before.

        Socket timeouts count from the last byte, so a server that sends one byte a second never meets them.
        What fails after the cut, and what seems to end well because of it, is raised as `fetch_timeout`.
        """
        timer = threading.Timer(self.left_s(), cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        except Exception as error:
            if self.passed():
                raise self.error() from error
            raise
        finally:
            timer.cancel()
        if self.passed():
            raise self.error()


class TransientError(Exception):
    """A try that failed in a way another try may not; `error` is what is reported after the last one."""

    def __init__(self, error: RowError, wait_s: float = 0.0) -> None:
        super().__init__(error.detail)
        self.error = error
        self.wait_s = wait_s  # what the server asked for


def with_tries(once: Callable[[], bytes], deadline: Deadline) -> bytes:
    """Return the first answer of `once` that is not `TransientError`, from at most four tries inside the deadline.

    Waits about 0.2, 0.4, 0.8 s between them, or what the server asked for. Raises RowError.
    """
    for tried in range(1, TRIES + 1):
        try:
            return once()
        except TransientError as transient:
            wait_s = max(transient.wait_s, FIRST_WAIT_S * 2 ** (tried - 1) * random.uniform(0.5, 1.5))
            if tried == TRIES or wait_s >= deadline.left_s():
                raise transient.error from transient
        time.sleep(wait_s)
    raise AssertionError("unreachable")
