"""What the checks of a finished picture may know of its row."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from idgen.checks.config import WhiteGroundConfig
from idgen.checks.picture import FinishedPicture
from idgen.recipes.recipe import Recipe
from idgen.sampling.rows import SampleRow
from idgen.schemas import PictureRow
from idgen.values import Cell


def with_row(
    finished: FinishedPicture, row: PictureRow, asked: SampleRow, recipe: Recipe, white: WhiteGroundConfig
) -> FinishedPicture:
    """Return the finished picture with the facts of its row (of ANALYSED; its pixels may be left out)."""
    cells: Mapping[str, Cell] = row
    shot = cells.get("shot") or ""
    points = cells.get("target_keypoints")
    told = points is not None and asked.identity_scale != 0  # at 0 IdentityNet was told nothing
    facts = replace(
        finished.facts,
        judge_embeddings=_judged(row),
        target_keypoints=np.asarray(points, np.float32).reshape(5, 2) if told else None,
        shot=shot,
        white_ground=recipe.white_ground or shot in white.shots,
    )
    return replace(finished, facts=facts)


def _judged(row: PictureRow) -> NDArray[np.float32] | None:
    """The judge's numbers of each reference, [n, W]; W is its own."""
    numbers, scores = row.get("judge_embedding"), row.get("reference_score")
    return np.asarray(numbers, np.float32).reshape(len(scores), -1) if numbers and scores else None
