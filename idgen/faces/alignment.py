"""The 512 px crop that the face parser and PuLID look at, from insightface's five points.

facexlib's FaceRestoreHelper: the similarity that LMEDS finds from the points to the FFHQ template (outliers dropped),
bilinear, a gray border. The originals take RetinaFace's five points; ours are insightface's, those of the face that
every other part uses: a deviation that spares a second detector and cannot pick another person. OpenCV's LMEDS has a
seed of its own, so the crop is the same on every run.
"""

import cv2
import numpy as np
import numpy.typing as npt

from idgen.errors import Code, RowError

SIDE_PX = 512
TEMPLATE = np.array(
    [
        [192.98138, 239.94708],
        [318.90277, 240.1936],
        [256.63416, 314.01935],
        [201.26117, 371.41043],
        [313.08905, 371.15118],
    ]
)
"""Where eyes, nose and corners of the mouth, from left to right as seen, stand in the crop: FFHQ's, as in facexlib."""
BORDER_RGB = (132, 133, 135)
"""facexlib's (135, 133, 132), which is BGR."""

MIN_SPREAD_PX = 1.0
"""Below this spread the points are one point."""
MIRROR_FACTOR = 1.5
"""Points are mirrored when a mirrored template fits so much better. A profile fits both alike, so it passes."""

Floats = npt.NDArray[np.floating]
Pixels = npt.NDArray[np.uint8]


def align(rgb: Pixels, keypoints: Floats) -> Pixels:
    """Return the face of `rgb` [H, W, 3] upright, uint8 [512, 512, 3] RGB; `keypoints` [5, 2] in its pixels.

    Raises RowError as `affine`.
    """
    matrix = affine(keypoints)
    side = (SIDE_PX, SIDE_PX)
    warped = cv2.warpAffine(
        np.ascontiguousarray(rgb), matrix, side, borderMode=cv2.BORDER_CONSTANT, borderValue=BORDER_RGB
    )
    return np.asarray(warped, dtype=np.uint8)


def affine(keypoints: Floats) -> npt.NDArray[np.float64]:
    """Return the similarity [2, 3] from the photo to the crop. Raises RowError as `check`."""
    check(keypoints)
    matrix = cv2.estimateAffinePartial2D(keypoints, TEMPLATE, method=cv2.LMEDS)[0]
    if matrix is None or not np.isfinite(matrix).all():
        raise RowError(Code.NO_FACE, "the five points found on the face do not make a face")
    return np.asarray(matrix, dtype=np.float64)


def check(keypoints: Floats, *, code: Code = Code.NO_FACE, whose: str = "the five points found on the face") -> None:
    """Raise RowError(code) when the points [5, 2] are no numbers, stand in one place, or have left and right swapped.

    OpenCV gives no matrix for the first two, and for the third it silently turns the face over. `whose` begins
    the detail. ValueError for another shape.
    """
    if keypoints.shape != (5, 2):
        raise ValueError(f"keypoints have the shape {keypoints.shape}, not [5, 2]")
    if not np.isfinite(keypoints).all():
        raise RowError(code, f"{whose}: not all of them are numbers")
    if spread_px(keypoints) < MIN_SPREAD_PX:
        raise RowError(code, f"{whose}: all of them are in the same place")
    points, template = (_centred(of) for of in (keypoints, TEMPLATE))
    # by how much of its size each fit explains: points turned into the template, and mirrored points
    straight, mirrored = abs((points.conj() * template).sum()), abs((points * template).sum())
    if mirrored > MIRROR_FACTOR * straight:
        raise RowError(
            code, f"{whose}: left and right are swapped (eyes and corners of the mouth go from left to right)"
        )


def spread_px(keypoints: Floats) -> float:
    """Return how far the points are from their middle, as a root mean square; half the distance of the eyes or more."""
    return float(np.sqrt((np.abs(_centred(keypoints)) ** 2).mean()))


def _centred(points: Floats) -> npt.NDArray[np.complex128]:
    """Return the points as complex numbers about their middle."""
    numbers = points.astype(np.float64) @ np.array([1, 1j])
    return np.asarray(numbers - numbers.mean(), dtype=np.complex128)
