"""How fast each recipe is, one process each: see family.py."""

import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from idgen.benchmark.ahead import Weights
from idgen.benchmark.budget import Budget
from idgen.benchmark.figures import Speed, SpeedFigures, fill
from idgen.benchmark.processes import BlockError, check, run

LEAST_S = 25.0
"""In which a recipe's plain loop is measured."""


def measure(speed: Speed, device: str, size: str, weights: Weights, budget: Budget, keep: Callable[[], None]) -> None:
    """Fill in `speed`, `keep` after each recipe, once the weights are there.

    For those it waits so long that each recipe has the least that it can be told with. Then a recipe may take what is
    left but for that: better some whole than all half. One that fails costs its own figures; in the end BlockError.
    """
    failed = []
    with tempfile.TemporaryDirectory(prefix="idgen-speed-") as scratch:
        for at, (recipe, figures) in enumerate(speed.recipes.items(), start=1):
            later = len(speed.recipes) - at
            try:
                written = weights.get(recipe, budget.left_s - LEAST_S * (later + 1))
                task = {"recipe": recipe, "size": size, "device": device, "words": written.words}
                figures.write_s = written.seconds
                _one(task, figures, Path(scratch), budget.left_s - min(LEAST_S, budget.left_s / (later + 1)) * later)
            except BlockError as error:
                figures.error = str(error)
                failed.append(f"{recipe} {error}")
            keep()
    if failed:
        raise BlockError("; ".join(failed))


def _one(task: Mapping[str, object], figures: SpeedFigures, scratch: Path, seconds: float) -> None:
    out = scratch / f"{task['recipe']}.json"
    try:
        words = [sys.executable, "-m", "idgen.benchmark.family", json.dumps({**task, "out": str(out)})]
        check(run(words, seconds), "the measuring process")
    finally:
        if out.is_file():
            fill(figures, json.loads(out.read_text()) | {"write_s": figures.write_s})
