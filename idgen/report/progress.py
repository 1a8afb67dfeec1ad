"""The progress of a run: counts, a moving rate, the time left; as a record, as text, as a line in a terminal."""

import shutil
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TextIO

_WINDOW_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusCounts:
    """Pictures asked for, and how many of them ended as what so far."""

    asked: int
    ok: int = 0
    rejected: int = 0
    failed: int = 0
    skipped: int = 0
    held: int = 0
    """Pictures that are there and that a gate holds back: of this run's while it goes on, then of the manifest's."""

    @property
    def done(self) -> int:
        """Pictures with a status, the skipped ones included."""
        return self.ok + self.rejected + self.failed + self.skipped

    @property
    def left(self) -> int:
        """Pictures still to come, never negative."""
        return max(self.asked - self.done, 0)


class Speed:
    """Pictures per second over the last two minutes.

    StatusCounts from the first picture on, so neither the models' loading time, nor what was skipped or refused by the
    plan, nor what an earlier driver of the same run made is in the rate.
    """

    def __init__(self, window_s: float = _WINDOW_S) -> None:
        self._window_s = window_s
        self._samples: deque[tuple[float, int]] = deque()  # (when, pictures worked on since the start)
        self._first: int | None = None

    def add(self, now_s: float, counts: StatusCounts) -> None:
        """Note the counts at a time (seconds of any clock that only goes forward)."""
        worked = counts.ok + counts.rejected + counts.failed
        if self._first is None:
            self._first = worked
        elif not self._samples and worked == self._first:
            return  # still loading
        elif not self._samples or worked != self._samples[-1][1]:
            self._samples.append((now_s, worked))
        while len(self._samples) > 2 and self._samples[1][0] <= now_s - self._window_s:
            self._samples.popleft()

    def per_second(self, now_s: float) -> float | None:
        """Pictures per second, or None while fewer than two steps of progress have been seen; 0 at a standstill."""
        if len(self._samples) < 2:
            return None
        (start_s, first), (last_s, last) = self._samples[0], self._samples[-1]
        if now_s - last_s > self._window_s:
            return 0.0
        # until the next batch is overdue the pause since the last one tells nothing
        step_s = (last_s - start_s) / (len(self._samples) - 1)
        end_s = last_s if now_s - last_s <= 2 * step_s else now_s
        return (last - first) / max(end_s - start_s, 1e-3)


def eta_s(left: int, per_second: float | None) -> float | None:
    """Return the seconds until nothing is left; None when nobody can know."""
    if left <= 0:
        return 0.0
    return left / per_second if per_second else None


def duration(seconds: float | None) -> str:
    """Return a time for people, as in `45 s`, `12 min`, `3 h 05 min`, `2 d 4 h`; `-` for None."""
    if seconds is None:
        return "-"
    whole = max(round(seconds), 0)
    if whole < 100:
        return f"{whole} s"
    minutes = round(whole / 60)
    if minutes < 100:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes // 1440} d {minutes % 1440 // 60} h"


def format_progress(counts: StatusCounts, per_second: float | None) -> str:
    """Return one line: share done, counts by status, what is left, rate and time left."""
    share = 100.0 * counts.done / counts.asked if counts.asked else 100.0
    share = share if counts.left == 0 else min(share, 99.9)
    rate = "- images/s" if per_second is None else f"{per_second:.3g} images/s"
    words = [f"{share:5.1f}%", f"ok {counts.ok:,}", f"rejected {counts.rejected:,}", f"failed {counts.failed:,}"]
    words += [f"skipped {counts.skipped:,}", f"left {counts.left:,}"]
    words += [f"held {counts.held:,}", rate] if counts.held else [rate]
    return "  ".join([*words, f"ETA {duration(eta_s(counts.left, per_second))}"])


def progress_record(
    run_id: str, counts: StatusCounts, per_second: float | None, *, started_at: str = ""
) -> dict[str, object]:
    """Return what stands in runs/<run_id>/progress.json: the counts, `left`, `images_per_s`, `eta_s`, `written_at`."""
    return {
        "run_id": run_id,
        **asdict(counts),
        "left": counts.left,
        "images_per_s": per_second,
        "eta_s": eta_s(counts.left, per_second),
        "started_at": started_at,
        "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


class ProgressLine:
    """Progress in a terminal: one line that is rewritten on a TTY, else a plain line every `every_s` seconds.

    `width` in characters cuts the rewritten line; 0 = the terminal's, as a line that wraps cannot be rewritten.
    """

    def __init__(
        self, stream: TextIO, *, every_s: float = 30.0, width: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.speed = Speed()
        self._stream, self._every_s, self._width, self._clock = stream, every_s, width, clock
        self._tty = stream.isatty()
        self._printed_s: float | None = None
        self._counts: StatusCounts | None = None
        self._told = ""

    def update(self, counts: StatusCounts) -> None:
        """Take the newest counts, and print when it is time to."""
        now_s = self._clock()
        self.speed.add(now_s, counts)
        self._counts, self._told = counts, ""
        if self._is_time(now_s):
            self._print(now_s)

    def tell(self, text: str) -> None:
        """Print something else instead of counts: at once when what stands before its colon is new, else in turn."""
        now_s, head = self._clock(), text.partition(":")[0]
        if head != self._told or self._is_time(now_s):
            self._told = head
            self._write(text, now_s)

    def close(self) -> None:
        """Print the last counts and leave the cursor on a fresh line."""
        if self._counts is None:
            return
        self._print(self._clock())
        if self._tty:
            self._stream.write("\n")
            self._stream.flush()

    def _is_time(self, now_s: float) -> bool:
        pause_s = 0.2 if self._tty else self._every_s
        return self._printed_s is None or now_s - self._printed_s >= pause_s

    def _print(self, now_s: float) -> None:
        assert self._counts is not None
        self._write(format_progress(self._counts, self.speed.per_second(now_s)), now_s)

    def _write(self, line: str, now_s: float) -> None:
        if self._tty:
            width = self._width or shutil.get_terminal_size().columns - 1
            self._stream.write(f"\r\x1b[2K{line[:width]}")
        else:
            self._stream.write(f"{line}\n")
        self._stream.flush()
        self._printed_s = now_s
