"""The check perceptual_hash: what tells two nearly equal pictures of a row."""

import pyarrow as pa

from idgen.checks.picture import PictureFacts, Pixels
from idgen.checks.protocol import Finding, FindingColumn

_SHRINK_PX = 128


class PerceptualHashCheck:
    """The 64 bits of imagehash's phash: signs of the lowest frequencies. Near pictures differ in few of them."""

    column = FindingColumn("perceptual_hash", pa.string(), "64 bits as 16 hex digits (phash); near pictures share most")

    def look(self, picture: Pixels, facts: PictureFacts) -> Finding:
        """Return the digits."""
        import cv2  # 0.1 s, and every process imports the table of checks
        import imagehash
        from PIL import Image

        # phash looks at 32 x 32 pixels; to bring a large picture there in one step with Lanczos costs most of it
        small = cv2.resize(picture, (_SHRINK_PX, _SHRINK_PX), interpolation=cv2.INTER_AREA)
        return Finding(self.column.name, str(imagehash.phash(Image.fromarray(small))))
