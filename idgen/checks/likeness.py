"""The check likeness: how similar a picture's face is to its references, as the recipe's own face pack sees both.

That pack conditioned the picture, so it is a friendly judge; judge_likeness.py asks another one.
"""

import pyarrow as pa

from idgen.checks.cosines import Cosines, cosines
from idgen.checks.no_face import unmeasured
from idgen.checks.picture import PictureFacts, Pixels
from idgen.checks.protocol import Finding, FindingColumn


class SimilarityBeforeCheck:
    """The face as it was sampled."""

    column = FindingColumn(
        "face_similarity_before",
        pa.float32(),
        "mean cosine of the face as sampled to the references, before the face pass",
    )

    def look(self, picture: Pixels, facts: PictureFacts) -> Finding:
        """Return the cosine; null where no face pass looked for a face."""
        face = facts.face_pass.embedding_before if facts.face_pass else None
        found = cosines(face, facts.id_embeddings)
        return Finding(self.column.name, found.mean if found else None)


class SimilarityCheck:
    """The face as it is published, to all references."""

    column = FindingColumn(
        "face_similarity",
        pa.float32(),
        "mean cosine of the picture's face to the references, by the recipe's own face pack",
        better="higher",
    )

    def look(self, picture: Pixels, facts: PictureFacts) -> Finding:
        """Return the cosine; null without references, and, with a reason, without a face."""
        found = _own(facts)
        return Finding(self.column.name, found.mean) if found else unmeasured(self.column.name, facts, "faces")


class LeastSimilarityCheck:
    """The same, to the reference that it resembles least."""

    column = FindingColumn(
        "face_similarity_least", pa.float32(), "the least of those cosines over the references", better="higher"
    )

    def look(self, picture: Pixels, facts: PictureFacts) -> Finding:
        """Return the cosine; null as that of SimilarityCheck."""
        found = _own(facts)
        return Finding(self.column.name, found.least) if found else unmeasured(self.column.name, facts, "faces")


def _own(facts: PictureFacts) -> Cosines | None:
    return cosines(facts.seen.embedding, facts.id_embeddings) if facts.seen else None
