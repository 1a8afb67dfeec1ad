"""Writes full-size random weights while the first blocks run: `python -m idgen.benchmark.ahead '{"recipes": …}'`."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from idgen.benchmark.processes import BlockError, Ended, check, end, environment
from idgen.benchmark.recipes import TINY


@dataclass(frozen=True, slots=True)
class Written:
    """The command-line words that point a job at one recipe's weights, and the seconds that writing those took."""

    words: list[str]
    seconds: float | None


class Weights:
    """Where a recipe's random weights are: in the tiny world, which is always there."""

    def get(self, recipe: str, seconds: float) -> Written:
        """Return a recipe's weights, after at most `seconds`. Raises BlockError when there are none."""
        return Written([TINY], None)


class WeightsAhead(Weights):
    """Those of full size, which a process writes: while it does none are given, it would slow down what is timed."""

    def __init__(self, child: "subprocess.Popen[bytes]", folder: Path, said: IO[str]) -> None:
        self.child = child
        self._folder = folder
        self._said = said
        self._late = ""

    def get(self, recipe: str, seconds: float) -> Written:
        """See Weights. Waits for the process to end with all of its recipes, or ends it when time is up."""
        seconds = max(0.0, seconds)
        try:
            self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            end(self.child)
            self._late = f"writing weights was not done after {seconds:.0f} s more"
        note = _note(self._folder, recipe)
        if note.is_file():
            return Written(**json.loads(note.read_text()))
        if self._late:
            raise BlockError(self._late)
        self._said.seek(0)
        check(Ended(self.child.returncode, self._said.read()), "writing weights")
        raise BlockError(f"no weights were written for {recipe}")


@contextmanager
def written_ahead(recipes: Sequence[str], folder: Path, *, fill: bool = True) -> Iterator[WeightsAhead]:
    """Write what `recipes` load, in their order, in a process of its own that ends with the block.

    Without `fill` files take no room (full_size.write).
    """
    task = json.dumps({"recipes": list(recipes), "folder": str(folder), "fill": fill})
    with tempfile.TemporaryFile("w+", errors="replace") as said:
        child = subprocess.Popen(
            [sys.executable, "-m", "idgen.benchmark.ahead", task],
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield WeightsAhead(child, folder, said)
        finally:
            end(child)


def write(recipes: Sequence[str], folder: str, fill: bool) -> None:
    """Write them, but for the text encoders that run ahead of the sampler; note each recipe that is whole."""
    from idgen.full_size.sets import write as write_set  # brings torch

    for recipe in recipes:
        start = time.monotonic()
        words = write_set(recipe, Path(folder), fill=fill, texts_ahead=False)
        note = _note(Path(folder), recipe)
        draft = note.with_suffix(".draft")
        draft.write_text(json.dumps({"words": words, "seconds": time.monotonic() - start}))
        os.replace(draft, note)


def _note(folder: Path, recipe: str) -> Path:
    return folder / f"{recipe}.json"


if __name__ == "__main__":
    write(**json.loads(sys.argv[1]))
