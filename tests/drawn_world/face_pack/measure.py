"""Measure the face pack on held-out drawings, end to end through insightface's own FaceAnalysis.

python -m drawn_world.face_pack.measure --pack idgen/tiny/facepack
"""

from __future__ import annotations

import argparse
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from idgen.tiny.people import DrawnPerson, Look
from idgen.tiny.render import Drawing, draw_portrait, draw_scene

if TYPE_CHECKING:
    from insightface.app import FaceAnalysis

_log = logging.getLogger(__name__)

SMALLEST_PX = 24  # faces whose shorter side is smaller neither count nor hurt
HELD_OUT = 500_000  # training people are numbered from 1,000,000 on


@dataclass(frozen=True, slots=True)
class Detection:
    """What the detector did on some drawings; faces under SMALLEST_PX are left out of every number."""

    faces: int
    recall: float
    precision: float
    keypoint_error: float  # distance / face width, median over all points
    keypoint_error_mean: float  # the same, mean of a face's five points first, then the median over faces


@dataclass(frozen=True, slots=True)
class Verification:
    """Cosines of the same person in other pictures and of different people."""

    missed: int  # portraits in which no face was found
    same: NDArray[np.float64]
    different: NDArray[np.float64]

    @property
    def auc(self) -> float:
        """Chance that a random same pair is more alike than a random different pair."""
        ranks = np.searchsorted(np.sort(self.different), self.same)
        return float(ranks.mean() / len(self.different))


def load_pack(folder: Path, det_size_px: int = 320, det_thresh: float = 0.5) -> FaceAnalysis:
    """FaceAnalysis on a folder, on one CPU thread."""
    import onnxruntime
    from insightface.app import FaceAnalysis

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    app = FaceAnalysis(name=str(folder.resolve()), providers=["CPUExecutionProvider"], sess_options=options)
    app.prepare(ctx_id=-1, det_size=(det_size_px, det_size_px), det_thresh=det_thresh)
    return app


def held_out_scene(index: int, size_px: int = 320) -> Drawing:
    """Scene `index` of people never trained on; every seventh has nobody in it."""
    start = HELD_OUT + 10 * index
    return draw_scene([DrawnPerson.sample(start + i) for i in range(index % 7)], start, size_px, size_px)


def measure_detection(app: FaceAnalysis, drawings: list[Drawing]) -> Detection:
    """Recall and precision at IoU 0.5 and the keypoint error; only the detector runs."""
    found = counted = right = wrong = 0
    errors = []
    for drawing in drawings:
        boxes, points = app.det_model.detect(np.ascontiguousarray(drawing.image[:, :, ::-1]))
        order = np.argsort(-boxes[:, 4])
        open_faces = set(range(len(drawing.boxes)))
        small = {i for i in open_faces if np.min(drawing.boxes[i, 2:] - drawing.boxes[i, :2]) < SMALLEST_PX}
        counted += len(open_faces - small)
        for index in order:
            scores = {i: _iou(boxes[index, :4], drawing.boxes[i]) for i in open_faces}
            best = max(scores, key=lambda i: scores[i], default=-1)
            if best < 0 or scores[best] < 0.5:
                wrong += 1
                continue
            open_faces.remove(best)
            if best in small:
                continue
            found, right = found + 1, right + 1
            width = drawing.boxes[best, 2] - drawing.boxes[best, 0]
            errors.append(np.linalg.norm(points[index] - drawing.keypoints[best], axis=1) / width)
    away = np.array(errors or [np.zeros(5)])
    middles = float(np.median(away)), float(np.median(away.mean(1)))
    return Detection(counted, found / max(counted, 1), right / max(right + wrong, 1), *middles)


def measure_verification(
    app: FaceAnalysis, people: int, looks: int = 4, size_px: int = 256, calm: bool = False
) -> Verification:
    """Embed `looks` portraits of each of `people` unseen people and compare all pairs."""
    vectors, owners, missed = [], [], 0
    for index in range(people):
        start = HELD_OUT + 100_000 + index
        for look in range(looks):
            drawing = draw_portrait(DrawnPerson.sample(start), Look.sample(start * 16 + look, calm=calm), size_px)
            faces = app.get(np.ascontiguousarray(drawing.image[:, :, ::-1]), max_num=1)
            if not faces:
                missed += 1
                continue
            vectors.append(faces[0].normed_embedding)
            owners.append(index)
    cosines = np.stack(vectors).astype(np.float64) @ np.stack(vectors).T
    upper = np.triu(np.ones(cosines.shape, bool), 1)
    alike = np.equal.outer(owners, owners)
    return Verification(missed, cosines[upper & alike], cosines[upper & ~alike])


def _iou(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    inner = np.clip(np.minimum(first[2:], second[2:]) - np.maximum(first[:2], second[:2]), 0, None).prod()
    union = (first[2:] - first[:2]).prod() + (second[2:] - second[:2]).prod() - inner
    return float(inner / union)


def main() -> None:
    """Print a table: pictures and detector sizes, thresholds, verification."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pack", type=Path, required=True)
    parser.add_argument("--scenes", type=int, default=700)
    parser.add_argument("--people", type=int, default=150)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    for size_px, det_size_px in ((320, 320), (256, 256), (256, 320), (320, 640)):
        scenes = [held_out_scene(index, size_px) for index in range(args.scenes if det_size_px < 640 else 100)]
        for threshold in (0.3, 0.4, 0.5, 0.6):
            result = measure_detection(load_pack(args.pack, det_size_px, threshold), scenes)
            numbers = (result.faces, result.recall, result.precision, result.keypoint_error, result.keypoint_error_mean)
            where = (size_px, det_size_px, threshold)
            text = (
                "scenes %d px, det_size %d, det_thresh %.1f: %d faces, recall %.4f precision %.4f keypoints %.4f (%.4f)"
            )
            _log.info(text, *where, *numbers)
    for size_px in (256, 128, 64):
        checked = measure_verification(load_pack(args.pack), args.people, size_px=size_px)
        same, different = checked.same, checked.different
        cosines = (same.mean(), np.quantile(same, 0.05), different.mean(), np.quantile(different, 0.999))
        text = "portraits %d px: missed %d, AUC %.5f, same %.3f (p5 %.3f), different %.3f (p99.9 %.3f)"
        _log.info(text, size_px, checked.missed, checked.auc, *cosines)


if __name__ == "__main__":
    main()
