"""The judge: a recogniser that had no part in making a picture says whose face it is.

SFace (128 numbers), AuraFace (512), or any other of ArcFace's kind, as one .onnx file in a pack's folder. It looks at
the face that the recipe's own pack has found, cut out by that pack's five points, so it needs no detector.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
from insightface.model_zoo.arcface_onnx import ArcFaceONNX
from insightface.utils import face_align

from idgen.errors import Exit, RunError
from idgen.faces import providers
from idgen.faces.pack import session_options

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]


class Judge:
    """One loaded recogniser, on the CPU. Several threads may use it at once: it keeps nothing of a picture."""

    def __init__(self, file: Path, *, threads: int) -> None:
        """Load the network. Raises RunError(USAGE) when it does not load as a recogniser."""
        try:
            session = onnxruntime.InferenceSession(
                str(file), session_options(max(1, threads)), providers=providers.providers("cpu")
            )
            self._recogniser = ArcFaceONNX(str(file), session)
        except Exception as error:  # insightface asserts, onnxruntime has its own
            raise RunError(
                Exit.USAGE, f"the judge {file} does not load: {str(error)[:200] or 'it has several outputs'}"
            ) from error

    def embed(self, rgb: Pixels, points: Floats) -> Floats:
        """Return the embedding [W], not normalised, of the face in `rgb` [H, W, 3] with the five points [5, 2]."""
        crop = face_align.norm_crop(rgb, points, self._recogniser.input_size[0])
        bgr = np.ascontiguousarray(crop[..., ::-1])
        return np.asarray(self._recogniser.get_feat(bgr), np.float32).reshape(-1)
