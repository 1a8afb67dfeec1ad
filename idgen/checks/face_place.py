"""The check face_place: whether the face is where the row asked for it."""

import numpy as np
import pyarrow as pa

from idgen.checks.no_face import unmeasured
from idgen.checks.picture import PictureFacts, Pixels
from idgen.checks.protocol import Finding, FindingColumn


class FacePlaceCheck:
    """Compares the five points that are found with those that IdentityNet was shown."""

    column = FindingColumn(
        "face_place_error",
        pa.float32(),
        "mean distance of the face's five points from where they were asked, in diameters of the asked points (twice "
        "their root mean square distance from their middle; a face is about 1.7 of them wide)",
        better="lower",
    )

    def look(self, picture: Pixels, facts: PictureFacts) -> Finding:
        """Return the distance, 0 where it is exact; null where nobody asked for a place, or without a face."""
        asked = facts.target_keypoints
        if asked is None:
            return Finding(self.column.name, None)
        if facts.seen is None or facts.seen.points is None:
            return unmeasured(self.column.name, facts, "faces")
        spread = np.sqrt(((asked - asked.mean(axis=0)) ** 2).sum(axis=1).mean())
        away = np.linalg.norm(facts.seen.points - asked, axis=1).mean()
        return Finding(self.column.name, float(away / max(2 * spread, 1.0)))
