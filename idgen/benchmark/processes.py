"""Child processes with a deadline: one that fails, hangs or dies costs its own block and nothing else."""

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The checkout, which has jobs/, configs/, manifests/ and tests/."""
KILL_AFTER_S = 3.0
"""What is left of a block's time to end in order, once it is over."""
LINE_CHARS = 300


class BlockError(Exception):
    """Why a block, or a part of one, has no figures: one line."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A child that came to its end."""

    code: int
    text: str
    """What it printed, errors among it."""

    @property
    def last_line(self) -> str:
        """The last thing it said."""
        lines = [line.strip() for line in self.text.splitlines() if line.strip()]
        return lines[-1][:LINE_CHARS] if lines else ""


def run(words: Sequence[str], seconds: float, *, more: Mapping[str, str] | None = None) -> Ended:
    """Run a program to its end, at most `seconds`, from the project's folder. Raises BlockError when time is up.

    `more` goes into its environment.
    """
    if seconds <= 0:
        raise BlockError("no time was left")
    with tempfile.TemporaryFile("w+", errors="replace") as printed:
        child = subprocess.Popen(
            words,
            cwd=ROOT,
            env=environment(more),
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = child.wait(seconds)
        except subprocess.TimeoutExpired:
            raise BlockError(f"was not done after {seconds:.0f} s") from None
        finally:
            end(child)
        printed.seek(0)
        return Ended(code, printed.read())


def check(ended: Ended, what: str) -> None:
    """Raise BlockError unless it ended with 0."""
    if ended.code:
        how = f"was killed by signal {-ended.code}" if ended.code < 0 else f"ended with {ended.code}"
        raise BlockError(f"{what} {how}: {ended.last_line}")


def end(child: "subprocess.Popen[bytes]") -> None:
    """End the child's whole session if it is still there; a local Ray cluster ends with its driver.

    First as Ctrl-C does: pytest then writes down what it has.
    """
    for number, wait_s in ((signal.SIGINT, KILL_AFTER_S), (signal.SIGKILL, None)):
        if child.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(child.pid, number)
            child.wait(wait_s)


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment for a child that imports this checkout, with `more` in it."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH", ""))))
    return {**os.environ, "PYTHONPATH": path, **(more or {})}
