"""A finished picture on its way to the publisher: its pixels, and the facts known about it."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from idgen.errors import RowError

Pixels = NDArray[np.uint8]
"""One picture, [H, W, 3], RGB."""
Embedding = NDArray[np.float32]

FacePassResult = Literal["done", "no_face", "large_enough", "failed"]


@dataclass(frozen=True, kw_only=True, slots=True)
class FacePassFacts:
    """How the face pass of one picture went."""

    result: FacePassResult
    embedding_before: Embedding | None = None
    """[D], of the face as it was sampled; None without a face, or when the pack has no recogniser."""
    embedding_after: Embedding | None = None
    """[D], after the pass and before anything is pasted back; None also when no face is found any more."""
    notes: tuple[str, ...] = ()
    """Warnings as `code: words`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureFacts:
    """What a check may use besides the pixels. A check that needs more adds a field here, filled where it is known."""

    id_embeddings: Embedding | None = None
    """[n, D], the person's references as the recipe's own pack sees them, not normalised; None: no person."""
    face_pass: FacePassFacts | None = None
    """None where no face pass was asked for."""
    notes: tuple[str, ...] = ()
    """The sampler's warnings, as `code: words`."""


@dataclass(frozen=True, slots=True)
class FinishedPicture:
    """One sampled picture, or why there is none."""

    pixels: Pixels | RowError
    facts: PictureFacts = field(default_factory=PictureFacts)
