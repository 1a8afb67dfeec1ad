"""Whether a row's references show one person."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from idgen.errors import Code, RowError
from idgen.faces.identity import Request

if TYPE_CHECKING:
    from idgen.faces.analysis import Face


def differing(request: Request, faces: "Sequence[Face]") -> list[str]:
    """Return a warning when two of the references' `faces` look like different people: to their pack, by its bound, or
    to the judge, by its.

    None where nobody made embeddings. Raises RowError references_differ where the request wants that.
    """
    own = [face.embedding for face in faces if face.embedding is not None]
    judged = [face.judge_embedding for face in faces if face.judge_embedding is not None]
    doubts = [
        _doubt(own, request.face_pack.same_person_cosine, ""),
        _doubt(judged, request.judge_same_person_cosine, " to the judge"),
    ]
    said = "; ".join(filter(None, doubts))
    if said and request.refuse_strangers:
        raise RowError(Code.REFERENCES_DIFFER, said)
    return [f"references_differ: {said}"] if said else []


def _doubt(embeddings: Sequence[npt.NDArray[np.float32]], bound: float, whom: str) -> str:
    """Return what is said of the two embeddings that are least alike; "" when they are above the bound."""
    if len(embeddings) < 2:
        return ""
    directions = np.stack([embedding / max(float(np.linalg.norm(embedding)), 1e-12) for embedding in embeddings])
    cosines = directions @ directions.T
    one, other = (int(at) for at in np.unravel_index(np.argmin(cosines), cosines.shape))
    lowest = float(cosines[one, other])
    if lowest >= bound:
        return ""
    numbers = f"cosine {lowest:.2f}, the same person has at least {bound:g}"
    return f"{one + 1} and {other + 1} look like different people{whom} ({numbers})"
