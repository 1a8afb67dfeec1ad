"""The check clipping: how much of a picture is burnt out or drowned."""

import pyarrow as pa

from idgen.checks.picture import PictureFacts, Pixels
from idgen.checks.protocol import Finding, FindingColumn

_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)


class ClippingCheck:
    """Counts pixels that have no detail left. A white ground counts too, so no bound is right for every shop."""

    column = FindingColumn(
        "clipped_fraction", pa.float32(), "share of pixels that are pure white or pure black, 0..1", better="lower"
    )

    def look(self, picture: Pixels, facts: PictureFacts) -> Finding:
        """Return the share."""
        import cv2  # 0.1 s, and every process imports the table of checks

        clipped = sum(cv2.countNonZero(cv2.inRange(picture, edge, edge)) for edge in (_WHITE, _BLACK))
        return Finding(self.column.name, clipped / (picture.shape[0] * picture.shape[1]))
