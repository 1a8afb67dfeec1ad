"""Drawings for training, rendered once by several processes into memory-mapped arrays."""

from __future__ import annotations

import logging
import multiprocessing
import time
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from idgen.tiny.people import DrawnPerson, Look
from idgen.tiny.render import Drawing, draw_portrait, draw_scene

_log = logging.getLogger(__name__)

SCENE_PX = 320
MAX_FACES = 7
CROP_PX = 112
# Where ArcFace wants the five keypoints in a 112 px crop; the same numbers as insightface.utils.face_align.
ARCFACE_POINTS = np.array(
    [(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)], np.float32
)


def training_scene(seed: int, size_px: int = SCENE_PX) -> Drawing:
    """One picture for the detector: 3 in 10 are portraits, the rest scenes of 0 to MAX_FACES people."""
    rng = np.random.default_rng([seed, 606])
    first = int(rng.integers(2**40))
    if rng.random() < 0.3:
        return draw_portrait(DrawnPerson.sample(first), Look.sample(first, calm=rng.random() < 0.3), size_px)
    count = int(rng.choice(MAX_FACES + 1, p=(0.2, 0.16, 0.14, 0.14, 0.12, 0.1, 0.08, 0.06)))
    return draw_scene([DrawnPerson.sample(first + i) for i in range(count)], first, size_px, size_px)


def aligned_crop(drawing: Drawing, rng: np.random.Generator, jitter: float) -> NDArray[np.uint8]:
    """The 112 px ArcFace crop of the first face; `jitter`: keypoint error, in parts of the face's width."""
    width = float(drawing.boxes[0, 2] - drawing.boxes[0, 0])
    points = drawing.keypoints[0] + rng.normal(0, jitter * width, (5, 2)).astype(np.float32)
    turn = similarity(points, ARCFACE_POINTS)
    return np.asarray(cv2.warpAffine(drawing.image, turn, (CROP_PX, CROP_PX)), np.uint8)


def similarity(source: NDArray[np.float32], target: NDArray[np.float32]) -> NDArray[np.float64]:
    """Least-squares turn, scale and shift [2, 3] that takes `source` [n, 2] to `target` [n, 2]."""
    a, b = source - source.mean(0), target - target.mean(0)
    norm = float((a**2).sum())
    cos = float((a * b).sum()) / norm
    sin = float((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum()) / norm
    linear = np.array([(cos, -sin), (sin, cos)])
    return np.column_stack([linear, target.mean(0) - linear @ source.mean(0)])


def render_scenes(folder: Path, count: int, seed: int, processes: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Images [count, 320, 320, 3] and faces [count, 7, 14] (box, keypoints; NaN where there is no face)."""
    images, faces = folder / f"scenes-{seed}-{count}.npy", folder / f"faces-{seed}-{count}.npy"
    shapes = {images: (count, SCENE_PX, SCENE_PX, 3), faces: (count, MAX_FACES, 14)}
    _render(_scene_part, shapes, seed, count, processes)
    return np.load(images, mmap_mode="r"), np.load(faces)


def render_crops(folder: Path, people: int, looks: int, seed: int, processes: int) -> NDArray[np.uint8]:
    """Aligned crops [people, looks, 112, 112, 3], each with a little keypoint error of its own."""
    crops = folder / f"crops-{seed}-{people}x{looks}.npy"
    shapes = {crops: (people, looks, CROP_PX, CROP_PX, 3)}
    _render(_crop_part, shapes, seed, people, processes)
    return np.asarray(np.load(crops, mmap_mode="r"))


def _scene_part(images: Path, faces: Path, seed: int, start: int, stop: int) -> None:
    pixels, truth = np.load(images, mmap_mode="r+"), np.load(faces, mmap_mode="r+")
    for index in range(start, stop):
        drawing = training_scene(seed + index)
        pixels[index], truth[index] = drawing.image, np.nan
        found = len(drawing.boxes)
        truth[index, :found] = np.concatenate([drawing.boxes, drawing.keypoints.reshape(found, 10)], axis=1)


def _crop_part(crops: Path, seed: int, start: int, stop: int) -> None:
    pixels = np.load(crops, mmap_mode="r+")
    for index in range(start, stop):
        rng = np.random.default_rng([seed, index, 707])
        person = DrawnPerson.sample(seed + index)
        for look in range(pixels.shape[1]):
            size_px = int(rng.choice((80, 128, 192, 256)))
            drawing = draw_portrait(person, Look.sample(int(rng.integers(2**40)), calm=look % 3 == 0), size_px)
            pixels[index, look] = aligned_crop(drawing, rng, jitter=float(rng.uniform(0, 0.03)))


def _render(
    part: Callable[..., None], shapes: Mapping[Path, tuple[int, ...]], seed: int, count: int, processes: int
) -> None:
    """Fill the arrays in slices of `count`; arrays that are complete are kept from an earlier run."""
    if all(path.exists() for path in shapes):
        return
    begin = time.monotonic()
    drafts = [path.with_suffix(".part.npy") for path in shapes]
    for draft, shape in zip(drafts, shapes.values(), strict=True):
        draft.parent.mkdir(parents=True, exist_ok=True)
        np.lib.format.open_memmap(draft, "w+", np.uint8 if len(shape) > 3 else np.float32, shape)
    edges = np.linspace(0, count, processes * 20 + 1).astype(int).tolist()
    jobs = [(*drafts, seed, start, stop) for start, stop in pairwise(edges)]
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        pool.starmap(part, jobs, chunksize=1)
    for draft, path in zip(drafts, shapes, strict=True):
        draft.rename(path)
    _log.info("rendered %d in %.0f s", count, time.monotonic() - begin)
