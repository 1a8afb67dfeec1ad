"""Likeness of a face to a person's reference photos, as numbers of one recogniser."""

from dataclasses import dataclass

import numpy as np

from idgen.checks.picture import Embedding

_SHORTEST = 1e-12


@dataclass(frozen=True, slots=True)
class Cosines:
    """Of one face to each of the references."""

    mean: float
    least: float


def cosines(face: Embedding | None, references: Embedding | None) -> Cosines | None:
    """Return the cosines of a face [D] to the references [n, D]; None where one is missing.

    Each reference counts alike, however long its embedding is.
    """
    if face is None or references is None or len(references) == 0:
        return None
    lengths = np.linalg.norm(references, axis=1) * np.linalg.norm(face)
    found = (references @ face) / np.maximum(lengths, _SHORTEST)
    return Cosines(float(found.mean()), float(found.min()))
