"""The network that tells pictures that are not safe for work: an ONNX file of open_nsfw's layout.

As Yahoo's classify_nsfw.py feeds it: 256 x 256 bilinear, once through JPEG, which the network was trained on, then the
middle 224 x 224, BGR less the training's means. Not imported by the table of checks: onnxruntime takes 0.1 s.
"""

import io
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

from idgen.checks.picture import Pixels
from idgen.errors import Exit, RunError

RESIZED_PX, SEEN_PX = 256, 224
MEANS_BGR = np.array([104.0, 117.0, 123.0], np.float32)


class SafetyModel:
    """One loaded network. onnxruntime's sessions may run in several threads at once, and nothing else is kept."""

    def __init__(self, file: Path, *, threads: int) -> None:
        """Load it onto the CPU. Raises RunError(USAGE) when it does not load."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = max(1, threads)
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has its own
            raise RunError(Exit.USAGE, f"{file} does not load: {str(error)[:200]}") from error
        self._input = self._session.get_inputs()[0].name

    def score(self, rgb: Pixels) -> float:
        """Return how likely the picture [H, W, 3] is not safe for work, 0..1."""
        found = self._session.run(None, {self._input: prepared(rgb)[None]})[0]  # [1, 2]: safe, unsafe
        return float(found[0, 1])


def prepared(rgb: Pixels) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
    """Return the network's input [224, 224, 3]."""
    resized = Image.fromarray(rgb).resize((RESIZED_PX, RESIZED_PX), Image.Resampling.BILINEAR)
    file = io.BytesIO()
    resized.save(file, "JPEG")
    decoded = np.asarray(Image.open(file).convert("RGB"), np.float32)
    at = (RESIZED_PX - SEEN_PX) // 2
    cropped = decoded[at : at + SEEN_PX, at : at + SEEN_PX, ::-1]
    return np.asarray(cropped - MEANS_BGR, np.float32)
