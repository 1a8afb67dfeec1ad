"""The driver's watch over a running line: shows and writes progress, and passes on every reason to stop."""

import logging
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Protocol

from idgen.actors.monitor import Progress
from idgen.errors import Exit, RunError

log = logging.getLogger(__name__)

POLL_S = 1.0
WRITE_EVERY_S = 10.0


class StopRequest:
    """Set once, by a signal or a deadline; holds the exit code that the run then ends with."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.reason = ""
        self.exit_code = Exit.STOPPED
        self._ends_at = float("inf")

    def end_after(self, seconds: float) -> None:
        """Ask for a stop so many seconds from now; 0 = never. `look` and `check` see to it."""
        if seconds > 0:
            self._ends_at = time.monotonic() + seconds

    def look(self) -> None:
        """Ask for a stop when the deadline is over."""
        if time.monotonic() > self._ends_at:
            self.ask("deadline")

    def ask(self, reason: str, exit_code: Exit = Exit.STOPPED) -> None:
        """Ask the run to stop cleanly; the first reason stays."""
        if not self.event.is_set():
            self.reason, self.exit_code = reason, exit_code
            self.event.set()

    def heard(self) -> bool:
        """Return whether a stop was asked for."""
        self.look()
        return self.event.is_set()

    def check(self) -> None:
        """Raise RunError with the stop's exit code when a stop was asked; for the stretches without workers."""
        self.look()
        if self.event.is_set():
            raise RunError(self.exit_code, f"stopped: {self.reason}; run the same command again to continue")

    def listen(self) -> None:
        """Turn SIGTERM and the first Ctrl-C into a clean stop; a second Ctrl-C interrupts at once.

        To be called again after ray.init, which installs a SIGTERM handler of its own. The handlers only set an event.
        """

        def on_signal(number: int, _frame: FrameType | None) -> None:
            """Ask for a clean stop; a second Ctrl-C interrupts at once."""
            if number == signal.SIGINT:
                signal.signal(signal.SIGINT, signal.default_int_handler)
                self.ask("Ctrl-C", Exit.INTERRUPTED)
            else:
                self.ask(signal.Signals(number).name)

        signal.signal(signal.SIGTERM, on_signal)
        signal.signal(signal.SIGINT, on_signal)


class Watched(Protocol):
    """What the watch needs of the run's monitor."""

    def progress(self) -> Progress:
        """Return what is known now."""
        ...

    def request_stop(self, reason: str) -> None:
        """Ask every worker to stop after the batch in hand."""
        ...


class Watch:
    """A thread beside the line. `show(progress)` is called each second, `write(progress)` every ten."""

    def __init__(
        self,
        monitor: Watched,
        stop: StopRequest,
        *,
        show: Callable[[Progress], None],
        write: Callable[[Progress], None],
        lease_lost: threading.Event,
    ) -> None:
        self._monitor, self._stop = monitor, stop
        self._show, self._write = show, write
        self._lease_lost = lease_lost
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="idgen-watch", daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        written_at = passed_on = 0.0
        while not self._done.wait(POLL_S):
            self._stop.look()
            if self._lease_lost.is_set():
                self._stop.ask("another run took the lease", Exit.REFUSED)
            try:
                if self._stop.event.is_set() and not passed_on:
                    self._monitor.request_stop(self._stop.reason)
                    passed_on = time.monotonic()
                progress = self._monitor.progress()
                self._show(progress)
            except Exception:  # a closed terminal or a busy monitor must not cost the run its ears
                log.warning("cannot show progress", exc_info=True)
                continue
            if time.monotonic() - written_at > WRITE_EVERY_S:
                written_at = time.monotonic()
                self._try_to_write(progress)

    def _try_to_write(self, progress: Progress) -> None:
        """A store that cannot be reached for a while costs nothing: the next write comes in ten seconds."""
        try:
            self._write(progress)
        except Exception:
            log.warning("progress.json could not be written", exc_info=True)
