"""How fast each recipe is, one process each: see family.py."""

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from idgen.benchmark.budget import Budget
from idgen.benchmark.figures import Speed, SpeedFigures, fill
from idgen.benchmark.processes import BlockError, check, run


def measure(speed: Speed, device: str, size: str, budget: Budget, keep: Callable[[], None]) -> None:
    """Fill in `speed`, `keep` after each recipe. A recipe that fails costs its own figures; then BlockError."""
    failed = []
    left = list(speed.recipes.items())
    with tempfile.TemporaryDirectory(prefix="idgen-speed-") as folder:
        for at, (recipe, figures) in enumerate(left):
            try:
                _one(recipe, figures, device, size, Path(folder), budget.part(1, [1] * (len(left) - at - 1)).left_s)
            except BlockError as error:
                figures.error = str(error)
                failed.append(f"{recipe} {error}")
            keep()
    if failed:
        raise BlockError("; ".join(failed))


def _one(recipe: str, figures: SpeedFigures, device: str, size: str, folder: Path, seconds: float) -> None:
    """Recipes share `folder`, where full-size weights are written."""
    out = folder / f"{recipe}.json"
    task = {"recipe": recipe, "size": size, "device": device, "folder": str(folder / "weights"), "out": str(out)}
    try:
        ended = run([sys.executable, "-m", "idgen.benchmark.family", json.dumps(task)], seconds)
        check(ended, "the measuring process")
    finally:
        if out.is_file():
            fill(figures, json.loads(out.read_text()))
