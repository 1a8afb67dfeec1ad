"""The check face_size: how large the picture's face is."""

import pyarrow as pa

from idgen.checks.no_face import unmeasured
from idgen.checks.picture import PictureFacts, Pixels
from idgen.checks.protocol import Finding, FindingColumn


class FaceSizeCheck:
    """Measures the chosen face's box."""

    column = FindingColumn(
        "face_px", pa.float32(), "longer side of the face's box, pixels of the picture", better="higher"
    )

    def look(self, picture: Pixels, facts: PictureFacts) -> Finding:
        """Return the side; null without a face."""
        box = facts.seen.box if facts.seen else None
        if box is None:
            return unmeasured(self.column.name, facts, "faces")
        return Finding(self.column.name, float((box[2:] - box[:2]).max()))
