"""The check likeness: how similar a picture's face is to its references."""

import numpy as np
import pyarrow as pa

from idgen.checks.picture import Embedding, PictureFacts, Pixels
from idgen.checks.protocol import Finding, FindingColumn


class SimilarityBeforeCheck:
    """The face as it was sampled."""

    column = FindingColumn(
        "face_similarity_before", pa.float32(), "cosine of the sampled face to the references, before the face pass"
    )

    def look(self, picture: Pixels, facts: PictureFacts) -> Finding:
        """Return the cosine; null where no face pass looked for a face."""
        face = facts.face_pass.embedding_before if facts.face_pass else None
        return Finding(self.column.name, likeness(face, facts.id_embeddings))


class SimilarityCheck:
    """The face as it is published, before anything is pasted back."""

    column = FindingColumn("face_similarity", pa.float32(), "the same after the face pass", better="higher")

    def look(self, picture: Pixels, facts: PictureFacts) -> Finding:
        """Return the cosine; null where no face pass looked for a face, or it found none any more."""
        face = facts.face_pass.embedding_after if facts.face_pass else None
        return Finding(self.column.name, likeness(face, facts.id_embeddings))


def likeness(face: Embedding | None, references: Embedding | None) -> float | None:
    """Return the cosine of a face [D] to the mean of the normed references [n, D]; None where one is missing."""
    if face is None or references is None or len(references) == 0:
        return None
    normed = references / np.linalg.norm(references, axis=1, keepdims=True)
    person = normed.mean(axis=0)
    return float(face @ person / (np.linalg.norm(face) * np.linalg.norm(person)))
