"""The check judge_likeness: the same question to a recogniser that had no part in making the picture."""

import pyarrow as pa

from idgen.checks.cosines import Cosines, cosines
from idgen.checks.no_face import unmeasured
from idgen.checks.picture import PictureFacts, Pixels
from idgen.checks.protocol import Finding, FindingColumn

SAME_PERSON = 0.363
"""Above it two faces are one person's to SFace: OpenCV's documented threshold for cosines of face_recognition_sface
(samples/dnn/face_detect.py, "cosine similarity score threshold"). Fifteen photos of seven people through YuNet and
SFace: the same person 0.62 at least, others 0.30 at most. Another judge has other cosines: gates.judge_similarity."""


class JudgeSimilarityCheck:
    """The face as the judge sees it, to all references."""

    column = FindingColumn(
        "judge_similarity",
        pa.float32(),
        "mean cosine of the picture's face to the references, by the recogniser that checks.likeness.judge names",
        better="higher",
        warn=SAME_PERSON,
        network="judge",
    )

    def look(self, picture: Pixels, facts: PictureFacts) -> Finding:
        """Return the cosine; null without a judge or references, and, with a reason, without a face."""
        found = _judged(facts)
        return Finding(self.column.name, found.mean) if found else _no_value(self.column.name, facts)


class LeastJudgeSimilarityCheck:
    """The same, to the reference that it resembles least."""

    column = FindingColumn(
        "judge_similarity_least",
        pa.float32(),
        "the least of those cosines over the references",
        better="higher",
        network="judge",
    )

    def look(self, picture: Pixels, facts: PictureFacts) -> Finding:
        """Return the cosine; null as that of JudgeSimilarityCheck."""
        found = _judged(facts)
        return Finding(self.column.name, found.least) if found else _no_value(self.column.name, facts)


def _judged(facts: PictureFacts) -> Cosines | None:
    return cosines(facts.seen.judge_embedding, facts.judge_embeddings) if facts.seen else None


def _no_value(name: str, facts: PictureFacts) -> Finding:
    """Without a judge there is nothing to miss."""
    asked = facts.judge_embeddings is not None or "judge" in facts.broken
    return unmeasured(name, facts, "faces", "judge") if asked else Finding(name, None)
