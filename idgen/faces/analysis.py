"""From an upright photo to one chosen face: box, points, and insightface's embedding of it.

Needs the folder of a face pack (buffalo_l, antelopev2, or the tiny one of idgen/tiny/facepack) and never downloads one.
"""

import contextlib
import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime
from insightface.app import FaceAnalysis
from insightface.app.common import Face as InsightFace

from idgen.config import FacesConfig
from idgen.errors import Code, Exit, RowError, RunError
from idgen.faces import providers

EMBEDDING_SIZE = 512
PAD_FRACTION = 0.25  # of each side, when nothing was found: detectors miss faces that fill the frame
_MODULES = ["detection", "recognition"]

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Face:
    """The chosen face of one photo."""

    embedding: Floats | None  # [512], raw: not normalised; None when it was not asked for
    box: Floats  # [4] xyxy, pixels of the upright photo; may reach beyond its edge
    keypoints: Floats  # [5, 2] eyes, nose, corners of the mouth, as seen from left to right
    score: float  # the detector's, 0..1
    faces_found: int
    size: tuple[int, int]  # width and height of the photo
    warnings: tuple[str, ...]


class FaceAnalyser:
    """One loaded face pack; for one thread at a time."""

    def __init__(
        self,
        pack_folder: Path,
        det_size_px: int,
        det_threshold: float,
        *,
        threads: int,
        config: FacesConfig,
        device: str = "cpu",
    ) -> None:
        """Load detector and recogniser onto `device` (cpu | cuda: the first GPU that this process sees).

        `det_size_px` is the side of the detector's square input. Raises RunError (usage) when the folder is not there
        or lacks one of the two, or when onnxruntime has no CUDA for them.
        """
        self._config = config
        self._det_size_px = det_size_px
        self._app = _load(pack_folder, max(1, threads), device)
        # 0 whatever the device: below, insightface would load everything again, on the CPU
        self._app.prepare(ctx_id=0, det_thresh=det_threshold, det_size=(det_size_px, det_size_px))
        # scikit-image announces the end of a function that insightface calls at every face
        warnings.filterwarnings("ignore", category=FutureWarning, module=r"insightface\.")

    def analyse(
        self, rgb: Pixels, face_select: str, *, embedding: bool = True, near: tuple[float, float] | None = None
    ) -> Face:
        """Return the face of `rgb` [H, W, 3] that `face_select` asks for, with its embedding if that is wanted.

        largest (by area) | center (nearest to the middle) | best (the detector's score) | index:N (from left to right,
        from 0). `near`, a place in pixels, takes its place: the face whose middle is nearest to it. Raises RowError:
        no_face, face_too_small, face_index_missing, bad_value.
        """
        notes: list[str] = []
        bgr = np.ascontiguousarray(rgb[..., ::-1])
        boxes, points = self._detect(bgr, notes)
        height, width = bgr.shape[:2]
        chosen = choose(boxes, (width, height), face_select) if near is None else nearest(boxes, near)
        box, keypoints = boxes[chosen, :4], points[chosen]
        self._judge(box, (width, height), notes)
        if len(boxes) > 1 and not face_select.startswith("index:"):
            taken = f"that is {face_select}" if near is None else "nearest to where it was wanted"
            notes.append(f"several_faces: {len(boxes)} found, took the one {taken}")
        score = float(boxes[chosen, 4])
        numbers: Floats | None = None
        if embedding:
            found = InsightFace(bbox=box, kps=keypoints, det_score=score)
            numbers = np.asarray(self._app.models["recognition"].get(bgr, found), dtype=np.float32)
        return Face(numbers, box, keypoints, score, len(boxes), (width, height), warnings=tuple(notes))

    def _detect(self, bgr: Pixels, notes: list[str]) -> tuple[Floats, Floats]:
        """Return boxes with scores [n, 5] and keypoints [n, 5, 2], in pixels of `bgr`."""
        if max(bgr.shape[:2]) >= self._det_size_px * min(bgr.shape[:2]):
            raise RowError(Code.NO_FACE, f"none in a strip of {bgr.shape[1]}x{bgr.shape[0]} pixels")
        boxes, points = self._app.det_model.detect(bgr)
        if len(boxes) == 0:
            # black, as outside of every photo: the embedding does not depend on the border
            down, across = (round(side * PAD_FRACTION) for side in bgr.shape[:2])
            padded = cv2.copyMakeBorder(bgr, down, down, across, across, cv2.BORDER_CONSTANT, value=(0, 0, 0))
            boxes, points = self._app.det_model.detect(padded)
            if len(boxes) == 0:
                raise RowError(Code.NO_FACE, f"none in {bgr.shape[1]}x{bgr.shape[0]} pixels, with a border neither")
            boxes[:, :4] -= np.array([across, down, across, down])
            points = points - np.array([across, down])
            notes.append("face_fills_frame: found only after a border was added")
        return np.asarray(boxes, dtype=np.float32), np.asarray(points, dtype=np.float32)

    def _judge(self, box: Floats, size: tuple[int, int], notes: list[str]) -> None:
        side_px = float(min(box[2] - box[0], box[3] - box[1]))
        if side_px < self._config.min_face_px:
            raise RowError(Code.FACE_TOO_SMALL, f"{side_px:.0f} px, at least {self._config.min_face_px} are needed")
        inside = np.clip(box, 0, [*size, *size])
        fraction = float((inside[2] - inside[0]) * (inside[3] - inside[1])) / (size[0] * size[1])
        if fraction < self._config.warn_face_fraction:
            notes.append(f"small_face: {fraction:.1%} of the photo")


def choose(boxes: Floats, size: tuple[int, int], face_select: str) -> int:
    """Return the row of `boxes` [n, 5] (xyxy, score) that `face_select` asks for in a photo of `size`.

    Raises RowError: bad_value for an unknown word, face_index_missing.
    """
    middles = (boxes[:, :2] + boxes[:, 2:4]) / 2
    if face_select == "largest":
        return int(np.argmax((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])))
    if face_select == "best":
        return int(np.argmax(boxes[:, 4]))
    if face_select == "center":
        return nearest(boxes, (size[0] / 2, size[1] / 2))
    word, _, number = face_select.partition(":")
    if word != "index" or not (number.isascii() and number.isdecimal()):
        raise RowError(Code.BAD_VALUE, "face_select: write largest, center, best or index:N")
    if int(number) >= len(boxes):
        raise RowError(Code.FACE_INDEX_MISSING, f"index:{number[:9]} of {len(boxes)} faces, counted from 0")
    return int(np.argsort(middles[:, 0], kind="stable")[int(number)])


def nearest(boxes: Floats, place: tuple[float, float]) -> int:
    """Return the row of `boxes` [n, 4 or more] (xyxy first) whose middle is nearest to `place` (x, y)."""
    middles = (boxes[:, :2] + boxes[:, 2:4]) / 2
    return int(np.argmin(np.linalg.norm(middles - np.array(place), axis=1)))


def _load(folder: Path, threads: int, device: str) -> FaceAnalysis:
    """Return insightface's FaceAnalysis of `folder`; a name instead of a folder would make it download."""
    if not folder.is_dir() or not any(folder.glob("*.onnx")):
        raise RunError(
            Exit.USAGE,
            f"no face pack in {folder}: put the pack's .onnx files there, "
            "or name another folder in the recipe's face_pack.weights",
        )
    wanted = providers.providers(device)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            app = FaceAnalysis(
                name=str(folder.resolve()),
                allowed_modules=_MODULES,
                providers=wanted,
                sess_options=options,
            )
        except Exception as error:  # insightface asserts, onnxruntime has its own
            raise RunError(
                Exit.USAGE, f"the face pack in {folder} does not load: {str(error)[:200] or 'no detector'}"
            ) from error
    if not set(_MODULES) <= set(app.models):
        raise RunError(
            Exit.USAGE, f"the face pack in {folder} has no {' or no '.join(set(_MODULES) - set(app.models))}"
        )
    providers.check((model.session for model in app.models.values()), device)
    width = app.models["recognition"].output_shape[-1]
    if isinstance(width, int) and width != EMBEDDING_SIZE:
        raise RunError(Exit.USAGE, f"the face pack in {folder} gives {width} numbers a face, not {EMBEDDING_SIZE}")
    return app
