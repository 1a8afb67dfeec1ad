"""The check unsafe: how likely a picture is not safe for work."""

import pyarrow as pa

from idgen.checks.no_face import unmeasured
from idgen.checks.picture import PictureFacts, Pixels
from idgen.checks.protocol import Finding, FindingColumn

LIKELY_SAFE = 0.2
"""Yahoo's README of open_nsfw: scores below 0.2 are safe with high probability, scores above 0.8 highly probable to be
unsafe. Twenty-nine ordinary photos had 0.164 at most. Swimwear and bare skin are higher: raise it for such shots."""


class UnsafeCheck:
    """Reports the score of the network that `checks.safety.weights` names. It knows nudity, nothing else."""

    column = FindingColumn(
        "unsafe_score",
        pa.float32(),
        "0..1, how likely the picture is not safe for work; null without checks.safety.weights",
        better="lower",
        warn=LIKELY_SAFE,
        network="safety",
    )

    def look(self, picture: Pixels, facts: PictureFacts) -> Finding:
        """Return the score."""
        if facts.unsafe_score is None:
            return unmeasured(self.column.name, facts, "safety")
        return Finding(self.column.name, facts.unsafe_score)
