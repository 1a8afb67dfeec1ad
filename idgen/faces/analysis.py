"""From an upright photo to one chosen face: box, points, and insightface's embedding of it.

Needs the folder of a face pack (buffalo_l, antelopev2, or the tiny one of idgen/tiny/facepack) and never downloads one.
"""

import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from insightface.app.common import Face as InsightFace
from insightface.utils import face_align

from idgen.checks.picture import SeenFaces
from idgen.config import FacesConfig
from idgen.errors import Code, RowError
from idgen.faces import orientation
from idgen.faces.choice import choose, nearest
from idgen.faces.detection import NOTHING, Found, find, find_in_photo, fractions, look
from idgen.faces.pack import load_pack

CUT_FRACTION = 0.3
"""Of what the recogniser sees, outside the photo; above it the likeness to the whole face is 0.8 or less (median)."""
_SEEN_PX = 112

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]
Place = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Face:
    """The chosen face of one photo."""

    embedding: Floats | None  # [512], raw: not normalised; None when it was not asked for
    box: Floats  # [4] xyxy, pixels of the upright photo; may reach beyond its edge
    keypoints: Floats  # [5, 2] eyes, nose, corners of the mouth, as seen from left to right
    score: float  # the detector's, 0..1
    faces_found: int
    size: tuple[int, int]  # width and height of the photo as it was turned
    warnings: tuple[str, ...]
    turns: int = 0  # quarter turns, as in orientation.turn, that the photo needed; all pixels here are after them
    judge_embedding: Floats | None = None  # [W], the independent recogniser's; None without one


class FaceAnalyser:
    """One loaded face pack. Several threads may use it at once.

    onnxruntime's sessions may run in several threads, and insightface keeps nothing of a picture between two calls: of
    its detector only a table of anchors per input size, which every thread would fill with the same numbers. So there
    is no lock, and a sampling thread never waits for a publishing one.
    """

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
        self._app = load_pack(pack_folder, max(1, threads), device)
        # 0 whatever the device: below, insightface would load everything again, on the CPU
        self._app.prepare(ctx_id=0, det_thresh=det_threshold, det_size=(det_size_px, det_size_px))
        # scikit-image announces the end of a function that insightface calls at every face
        warnings.filterwarnings("ignore", category=FutureWarning, module=r"insightface\.")

    def analyse(
        self,
        rgb: Pixels,
        face_select: str,
        *,
        embedding: bool = True,
        near: Place | None = None,
        photo: bool = True,
    ) -> Face:
        """Return the face of `rgb` [H, W, 3] that `face_select` asks for, with its embedding if that is wanted.

        largest (by area) | center (nearest to the middle) | best (the detector's score) | index:N (from left to right,
        from 0). `near`, a place in pixels, takes its place: the face whose middle is nearest to it. `photo`: False for
        a picture that was made here: its faces are upright and as small as was asked for, so it is never turned, and
        looked at again only when nothing was found. Raises RowError: no_face, face_too_small, face_index_missing,
        bad_value.
        """
        bgr = np.ascontiguousarray(rgb[..., ::-1])
        wanted = _Wanted(face_select, near, embedding, photo)
        turns = 0
        found = self._found(bgr, photo)
        if photo and not len(found):
            turns = orientation.first_found(bgr, lambda turned: look(self._app.det_model, turned))
            bgr = orientation.turn(bgr, turns)
            found = self._found(bgr, photo) if turns else found
        face = self._face(bgr, found, wanted)
        if photo and not turns and (turns := self._turns(bgr, face)):
            middle = orientation.moved((face.box[:2] + face.box[2:]) / np.float32(2), turns, bgr)
            bgr = orientation.turn(bgr, turns)
            face = self._face(bgr, self._found(bgr, photo), wanted, (float(middle[0]), float(middle[1])))
        return replace(face, turns=turns, warnings=(orientation.note(turns), *face.warnings)) if turns else face

    def see(self, rgb: Pixels, near: Place | None, *, embedding: bool) -> SeenFaces:
        """Return all faces of a picture [H, W, 3] that was made here, one of them chosen, as `analyse` does.

        The chosen one is nearest to `near`, else the largest; none when that is smaller than `min_face_px`.
        """
        bgr = np.ascontiguousarray(rgb[..., ::-1])
        size = (bgr.shape[1], bgr.shape[0])
        found = NOTHING if self._is_strip(bgr) else find(self._app.det_model, bgr)
        if not len(found):
            return SeenFaces(boxes=found.boxes)
        row = choose(found.boxes, size, "largest") if near is None else nearest(found.boxes, near)
        try:
            face = self._face(bgr, found, _Wanted("largest", near, embedding, False))
        except RowError:
            return SeenFaces(boxes=found.boxes)
        return SeenFaces(
            boxes=found.boxes, chosen=row, points=face.keypoints, embedding=face.embedding, notes=face.warnings
        )

    def _is_strip(self, bgr: Pixels) -> bool:
        """Tell whether one side of a picture would have no pixel left in the detector's square."""
        return bool(max(bgr.shape[:2]) >= self._det_size_px * min(bgr.shape[:2]))

    def _found(self, bgr: Pixels, photo: bool) -> Found:
        if self._is_strip(bgr):
            raise RowError(Code.NO_FACE, f"no face in a strip of {bgr.shape[1]}x{bgr.shape[0]} pixels")
        detector = self._app.det_model
        return find_in_photo(detector, bgr, self._det_size_px) if photo else find(detector, bgr)

    def _face(self, bgr: Pixels, found: Found, wanted: "_Wanted", chosen: Place | None = None) -> Face:
        """Return the one of `found` that is wanted; raises RowError as `analyse`.

        `chosen`: where the wanted one is, known from the photo before it was turned, which moved left to right.
        """
        size = (bgr.shape[1], bgr.shape[0])
        if not len(found):
            raise RowError(Code.NO_FACE, f"no face in {size[0]}x{size[1]} pixels, even after looking more closely")
        select, near = wanted.face_select, wanted.near
        place = chosen or near
        row = choose(found.boxes, size, select) if place is None else nearest(found.boxes, place)
        box, keypoints = found.boxes[row, :4], found.points[row]
        notes = [found.notes[row]] if found.notes[row] else []
        notes += self._judged(box, keypoints if wanted.photo else None, size)
        if len(found) > 1 and not select.startswith("index:"):
            taken = f"that is {select}" if near is None else "nearest to where it was wanted"
            notes.append(f"several_faces: {len(found)} found, took the one {taken}")
        numbers = self._embedding(bgr, keypoints) if wanted.embedding else None
        return Face(numbers, box, keypoints, float(found.boxes[row, 4]), len(found), size, warnings=tuple(notes))

    def _turns(self, bgr: Pixels, face: Face) -> int:
        """Return the quarter turns after which `face`, found in `bgr`, is upright."""

        def length(turns: int) -> float:
            """Return how long the embedding is after so many quarter turns."""
            if face.embedding is not None and not turns:
                return float(np.linalg.norm(face.embedding))
            return self._length(bgr, face.keypoints, turns=turns)

        if not orientation.doubtful(face.score, length):
            return 0
        least = (face.score + orientation.SCORE_GAIN, orientation.LENGTH_GAIN * length(0))
        return orientation.upright(bgr, face.box, least, lambda turned: self._found(turned, True), self._length)

    def _embedding(self, bgr: Pixels, keypoints: Floats) -> Floats:
        found = InsightFace(kps=keypoints)
        return np.asarray(self._app.models["recognition"].get(bgr, found), dtype=np.float32)

    def _length(self, bgr: Pixels, keypoints: Floats, *, turns: int = 0) -> float:
        """Return how long the embedding is of the face, whose crop is turned first."""
        recogniser = self._app.models["recognition"]
        crop = face_align.norm_crop(bgr, keypoints, recogniser.input_size[0])
        return float(np.linalg.norm(recogniser.get_feat(orientation.turn(crop, turns))))

    def _judged(self, box: Floats, keypoints: Floats | None, size: tuple[int, int]) -> list[str]:
        """Return the warnings about a face, also whether `keypoints` are cut. Raises RowError: face_too_small."""
        side_px = float(min(box[2] - box[0], box[3] - box[1]))
        if side_px < self._config.min_face_px:
            raise RowError(Code.FACE_TOO_SMALL, f"{side_px:.0f} px, at least {self._config.min_face_px} are needed")
        notes = []
        fraction = float(fractions(box[None], size)[0])
        if fraction < self._config.warn_face_fraction:
            notes.append(f"small_face: {fraction:.1%} of the photo")
        outside = 0.0 if keypoints is None else cut_off(keypoints, size)
        if outside > CUT_FRACTION:
            notes.append(f"face_cut: {outside:.0%} of the crop lies outside the photo; the likeness will suffer")
        return notes


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What `analyse` was asked for."""

    face_select: str
    near: Place | None
    embedding: bool
    photo: bool


def cut_off(keypoints: Floats, size: tuple[int, int]) -> float:
    """Return which share of the aligned face with these points [5, 2] lies outside a photo of `size`, 0..1."""
    matrix = face_align.estimate_norm(keypoints, _SEEN_PX)
    across, down = np.meshgrid(np.arange(_SEEN_PX) + 0.5, np.arange(_SEEN_PX) + 0.5)
    places = np.stack([across.ravel(), down.ravel()], axis=1).astype(np.float32)[None]
    back = cv2.transform(places, cv2.invertAffineTransform(matrix))[0]
    return float(1 - ((back >= 0) & (back < size)).all(axis=1).mean())
