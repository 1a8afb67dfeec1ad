"""A finished picture on its way to the publisher: its pixels, and the facts known about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from idgen.errors import RowError

Pixels = NDArray[np.uint8]
"""One picture, [H, W, 3], RGB."""
Embedding = NDArray[np.float32]
Place = tuple[float, float]
"""x and y in pixels of the picture."""
Instrument = Literal["faces", "judge", "safety"]
"""What a measure is taken with (instruments.py)."""

FacePassResult = Literal["done", "no_face", "large_enough", "failed"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SeenFaces:
    """The faces of one finished picture, looked at once; and what is known of the one that is meant."""

    boxes: NDArray[np.float32]
    """[n, 5] xyxy and the detector's score, pixels of the picture; n may be 0."""
    chosen: int | None = None
    """Row of the face that is meant: nearest to where it was asked, else the largest. None: it is not there."""
    points: NDArray[np.float32] | None = None
    """[5, 2], the chosen face's eyes, nose and corners of the mouth, as seen from left to right."""
    embedding: Embedding | None = None
    """[D], the chosen face as the recipe's own pack sees it, not normalised; None where it was not asked for."""
    judge_embedding: Embedding | None = None
    """[W], the same by the independent recogniser; None without one."""
    notes: tuple[str, ...] = ()
    """How it was found and chosen, as `code: words`; the face pass tells them."""

    @property
    def box(self) -> NDArray[np.float32] | None:
        """The chosen face's box, [4] xyxy."""
        return None if self.chosen is None else self.boxes[self.chosen, :4]


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
    judge_embeddings: Embedding | None = None
    """[n, W], the same photos as the independent recogniser sees them; None without one."""
    target_keypoints: NDArray[np.float32] | None = None
    """[5, 2], where the face was asked to be, pixels of the picture; None where nobody asked."""
    shot: str = ""
    """The row's label of that name."""
    white_ground: bool = False
    """Whether the picture was asked for on a white ground."""
    face_pass: FacePassFacts | None = None
    """None where no face pass was asked for."""
    seen: SeenFaces | None = None
    """None before anybody has looked at these pixels, and for recipes that look for no face."""
    unsafe_score: float | None = None
    """0..1; None without a safety model."""
    broken: Mapping[Instrument, str] = field(default_factory=dict)
    """Instruments that broke on this picture -> the warning about it."""
    notes: tuple[str, ...] = ()
    """The sampler's warnings, as `code: words`."""

    @property
    def wanted_place(self) -> Place | None:
        """Where the middle of the face was asked to be."""
        if self.target_keypoints is None:
            return None
        x, y = self.target_keypoints.astype(np.float64).mean(axis=0).tolist()
        return x, y

    @property
    def has_person(self) -> bool:
        """Whether there are photos of a person to compare the face with."""
        return any(one is not None and len(one) > 0 for one in (self.id_embeddings, self.judge_embeddings))


@dataclass(frozen=True, slots=True)
class FinishedPicture:
    """One sampled picture, or why there is none."""

    pixels: Pixels | RowError
    facts: PictureFacts = field(default_factory=PictureFacts)
