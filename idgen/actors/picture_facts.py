"""What the checks of a finished picture may know of its row."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from idgen.checks.config import ChecksConfig
from idgen.checks.picture import FinishedPicture
from idgen.recipes.gates import asks_white
from idgen.recipes.recipe import Recipe
from idgen.sampling.rows import SampleRow
from idgen.schemas import PictureRow
from idgen.values import Cell

_JUDGE_BROKE = "check_failed: judge (a reference photo has no numbers of it)"


def with_row(
    finished: FinishedPicture, row: PictureRow, asked: SampleRow, recipe: Recipe, checks: ChecksConfig
) -> FinishedPicture:
    """Return the finished picture with the facts of its row (of ANALYSED; its pixels may be left out).

    Where the run's judge broke on a reference, it counts as broken on the picture: else a gate of the judge's would
    have nothing to look at, and let the picture pass.
    """
    cells: Mapping[str, Cell] = row
    shot = cells.get("shot") or ""
    points = cells.get("target_keypoints")
    told = points is not None and asked.identity_scale != 0  # at 0 IdentityNet was told nothing
    judged = _judged(row)
    broke = bool(checks.likeness.judge and row.get("reference_score")) and judged is None
    facts = replace(
        finished.facts,
        judge_embeddings=judged,
        broken={**finished.facts.broken, "judge": _JUDGE_BROKE} if broke else finished.facts.broken,
        target_keypoints=np.asarray(points, np.float32).reshape(5, 2) if told else None,
        shot=shot,
        white_ground=asks_white(recipe, shot, checks.white_ground.shots),
    )
    return replace(finished, facts=facts)


def _judged(row: PictureRow) -> NDArray[np.float32] | None:
    """The judge's numbers of each reference, [n, W]; W is its own."""
    numbers, scores = row.get("judge_embedding"), row.get("reference_score")
    return np.asarray(numbers, np.float32).reshape(len(scores), -1) if numbers and scores else None
