"""The check sharpness: how much fine detail a picture has."""

import pyarrow as pa

from idgen.checks.picture import PictureFacts, Pixels
from idgen.checks.protocol import Finding, FindingColumn


class SharpnessCheck:
    """Variance of the Laplacian: the usual measure of focus (Pech-Pacheco et al., ICPR 2000).

    At the picture's own size, so only pictures of one size compare. It depends on what is shown, too: a plain ground
    has no detail. So there is no bound that is right for every shop, and none is set.
    """

    column = FindingColumn(
        "sharpness",
        pa.float32(),
        "variance of the Laplacian of the grey picture (levels 0..255) at its own size; blurred ones have less",
        better="higher",
    )

    def look(self, picture: Pixels, facts: PictureFacts) -> Finding:
        """Return the variance."""
        import cv2  # 0.1 s, and every process imports the table of checks

        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        # at most 4 * 255 either way; float64 takes twice as long for the same four digits
        _, deviation = cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_16S))
        return Finding(self.column.name, float(deviation[0, 0] ** 2))
