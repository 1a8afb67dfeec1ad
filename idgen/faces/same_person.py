"""Whether a row's references show one person."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from idgen.errors import Code, RowError
from idgen.faces.identity import Request

if TYPE_CHECKING:
    from idgen.faces.analysis import Face


def differing(request: Request, faces: "Sequence[Face]") -> list[str]:
    """Return a warning when two of the references' `faces` look like different people, by the bound of their pack.

    None where the recipe asks for no embeddings. Raises RowError references_differ where the request wants that.
    """
    embeddings = [face.embedding for face in faces if face.embedding is not None]
    if len(embeddings) < 2:
        return []
    directions = np.stack([embedding / max(float(np.linalg.norm(embedding)), 1e-12) for embedding in embeddings])
    cosines = directions @ directions.T
    one, other = (int(at) for at in np.unravel_index(np.argmin(cosines), cosines.shape))
    lowest, bound = float(cosines[one, other]), request.face_pack.same_person_cosine
    if lowest >= bound:
        return []
    numbers = f"cosine {lowest:.2f}, the same person has at least {bound:g}"
    said = f"{one + 1} and {other + 1} look like different people ({numbers})"
    if request.refuse_strangers:
        raise RowError(Code.REFERENCES_DIFFER, said)
    return [f"references_differ: {said}"]
