"""Train the face pack's detector on drawings and write it in SCRFD's format.

    python -m drawn_world.face_pack.detector --out idgen/tiny/facepack --cache /tmp/drawings

The contract (insightface.model_zoo.scrfd): strides 8, 16 and 32, two anchors a cell, distances in units of the
stride, sigmoid inside; nine outputs: scores, then boxes, then keypoints. Which anchor answers for which face is ours:
six slots, each for one range of sizes.
"""

from __future__ import annotations

import argparse
import logging
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from drawn_world.face_pack.data import render_scenes

if TYPE_CHECKING:
    import torch

_log = logging.getLogger(__name__)

STRIDES = (8, 16, 32)
SLOT_PX = ((0, 26, 46), (46, 66, 92), (92, 128, 4096))  # edges of the two slots of each stride: sqrt(width * height)
SLOT_REACH = ((1.1, 2.2), (1.7, 2.4), (1.7, 2.6))  # a typical half face in strides: keeps what the net says near one
INPUT_PX = 256
SMALLEST_PX = 12  # what is smaller is neither asked for nor punished: nobody can say where its mouth ends
FILE = "det_drawn.onnx"


def main() -> None:
    """Parse the command line, render, train, export."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for det_drawn.onnx")
    parser.add_argument("--cache", type=Path, required=True, help="folder for drawings (3 GB) and checkpoints")
    parser.add_argument("--scenes", type=int, default=10_000)
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--seed", type=int, default=1_000_000)
    parser.add_argument("--processes", type=int, default=1, help="renderers")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")

    import torch

    torch.set_num_threads(args.threads)
    cv2.setNumThreads(1)
    torch.manual_seed(args.seed)
    images, faces = render_scenes(args.cache, args.scenes, args.seed, args.processes)
    args.out.mkdir(parents=True, exist_ok=True)
    net = train(images, faces, args.steps, args.batch, args.seed, args.cache / "detector.pt")
    export(net, args.out / FILE)


def train(
    images: NDArray[np.uint8], faces: NDArray[np.float32], steps: int, batch: int, seed: int, checkpoint: Path
) -> torch.nn.Module:
    """Train for `steps`, going on from the checkpoint if there is one; returns the averaged network."""
    import torch

    from drawn_world.face_pack.loop import Loop
    from drawn_world.face_pack.networks import Detector

    net, average = Detector(SLOT_REACH), Detector(SLOT_REACH)
    average.load_state_dict(net.state_dict())
    average.requires_grad_(False)
    loop = Loop(torch.nn.ModuleList([net, average]), steps, checkpoint)
    net.train()
    for step in loop:
        loop.freeze_norms_late(net)
        pixels, truth = batch_of(images, faces, batch, seed, step)
        with torch.autocast("cpu", torch.bfloat16):  # twice as fast where the processor knows it
            outputs = net(pixels)
        terms = losses(outputs, truth)
        score, box, points = terms.detach().tolist()
        loop.update(terms.sum(), {"score": score, "box": box, "keypoints": points})
        _follow(average, net, min(0.998, (step + 1) / (step + 20)))
        loop.save()
    return average


def batch_of(
    images: NDArray[np.uint8], faces: NDArray[np.float32], batch: int, seed: int, step: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Augmented pictures [B, 3, 256, 256] and faces [B, 7, 15] (box, keypoints, seen share); a step has its own."""
    import torch

    rng = np.random.default_rng([seed, step])
    pairs = [augmented(images[i], faces[i], rng) for i in rng.integers(0, len(images), batch)]
    pixels = torch.from_numpy(np.stack([pixels for pixels, _ in pairs])).permute(0, 3, 1, 2)  # channels stay last
    return (pixels.float() - 127.5) / 128, torch.from_numpy(np.stack([truth for _, truth in pairs]))


def augmented(
    image: NDArray[np.uint8], faces: NDArray[np.float32], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """A random zoom, cut and flip to 256 px, other light, blur and noise; the truth moves along."""
    side = image.shape[0]
    zoom = float(rng.uniform(0.7, 1.15) if rng.random() < 0.85 else rng.uniform(1.0, 1.9))
    free = INPUT_PX - side * zoom
    shift = [float(rng.uniform(min(free, 0), max(free, 0))) for _ in range(2)]
    flip = rng.random() < 0.5
    # Pixel centres lie at half numbers, as in cv2.resize, which is what the detector will see at work.
    turn = np.array([(zoom, 0, shift[0] + zoom / 2 - 0.5), (0, zoom, shift[1] + zoom / 2 - 0.5)])
    pixels = np.asarray(cv2.warpAffine(image, turn, (INPUT_PX, INPUT_PX)), np.float32)
    moved = faces.reshape(-1, 7, 2) * zoom + np.array(shift, np.float32)
    if flip:
        pixels = pixels[:, ::-1]
        moved[..., 0] = INPUT_PX - moved[..., 0]
        moved = moved[:, [0, 1, 3, 2, 4, 6, 5]]
        moved[:, :2, 0] = moved[:, 1::-1, 0]
    if rng.random() < 0.2:
        pixels = np.asarray(cv2.GaussianBlur(pixels, (0, 0), float(rng.uniform(0.4, 1.2))), np.float32)
    pixels = pixels * rng.uniform(0.85, 1.15, 3).astype(np.float32) + np.float32(rng.uniform(-15, 15))
    if rng.random() < 0.3:
        pixels = pixels + rng.standard_normal(pixels.shape, dtype=np.float32) * np.float32(rng.uniform(1, 7))
    inside = np.clip(moved[:, :2], 0, INPUT_PX)
    seen = np.prod(inside[:, 1] - inside[:, 0], -1) / np.prod(moved[:, 1] - moved[:, 0], -1)
    small = np.prod(moved[:, 1] - moved[:, 0], -1) < SMALLEST_PX**2
    truth = np.concatenate([moved.reshape(-1, 14), np.where(small, 0.5, seen)[:, None]], axis=1)
    return np.clip(np.round(pixels), 0, 255).astype(np.uint8), truth.astype(np.float32)


def losses(outputs: list[torch.Tensor], truth: torch.Tensor) -> torch.Tensor:
    """Score, box and keypoint loss [3] of a batch; `outputs` per stride [B, H, W, 2, 15] with raw scores."""
    import torch
    from torch.nn import functional

    counts, totals = truth.new_zeros(()), truth.new_zeros(3)
    for output, stride, edges in zip(outputs, STRIDES, SLOT_PX, strict=True):
        face, ignored = assign(truth, output.shape[1], output.shape[2], stride, edges)
        positive = face >= 0
        quality = torch.zeros_like(output[..., 0])
        if positive.any():
            at = positive.nonzero()  # [n, 4]: picture, row, column, slot
            wanted = truth[at[:, 0], face[positive]]
            centre = (at[:, [2, 1]].float()) * stride  # insightface puts a cell's anchor on its upper left corner
            said = output[positive]
            box = torch.cat([centre - said[:, 1:3] * stride, centre + said[:, 3:5] * stride], 1)
            overlap, giou = overlaps(box, wanted[:, :4])
            points = (centre[:, None] + said[:, 5:].view(-1, 5, 2) * stride).flatten(1)
            width = (wanted[:, 2:3] - wanted[:, 0:1]).clamp(min=4.0)
            totals[1] += (1 - giou).sum()
            away = (points - wanted[:, 4:14]) / width
            totals[2] += functional.smooth_l1_loss(away, torch.zeros_like(away), beta=0.01, reduction="sum") / 10
            quality[positive] = overlap.detach().clamp(0, 1).sqrt()
        score = output[..., 0]
        weight = (quality - score.sigmoid()).detach().abs().square() * ~ignored
        totals[0] += (weight * functional.binary_cross_entropy_with_logits(score, quality, reduction="none")).sum()
        counts += positive.sum()
    return totals / counts.clamp(min=1) * truth.new_tensor((1.0, 2.0, 20.0))


def assign(
    truth: torch.Tensor, height: int, width: int, stride: int, edges: tuple[int, int, int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """For each cell and slot [B, H, W, 2]: the face it answers for (-1: none), and whether it is left alone."""
    import torch

    x = torch.arange(width).view(1, 1, 1, -1) * stride
    y = torch.arange(height).view(1, 1, -1, 1) * stride
    left, top, right, bottom = (truth[..., i, None, None] for i in range(4))  # [B, F, 1, 1]
    size = ((right - left) * (bottom - top)).sqrt()
    away = torch.maximum((x - (left + right) / 2).abs(), (y - (top + bottom) / 2).abs())  # [B, F, H, W]
    seen = truth[..., 14, None, None]
    core = (away <= (0.2 * size).clamp(min=0.5 * stride)) & (seen > 0.75)
    around = (away <= (0.5 * size).clamp(min=0.75 * stride)) & (seen > 0.2)  # NaN compares false: no face, no cell
    faces, ignored = [], []
    for low, high in pairwise(edges):
        mine = core & (size >= low) & (size < high)
        near = around & (size >= low * 0.85) & (size < high * 1.18)
        faces.append(torch.where(mine.any(1), mine.int().argmax(1), -1))
        ignored.append(near.any(1) & ~mine.any(1))
    return torch.stack(faces, -1), torch.stack(ignored, -1)


def overlaps(first: torch.Tensor, second: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """IoU and generalised IoU of boxes [n, 4], pair by pair."""
    import torch

    upper_left, lower_right = torch.maximum(first[:, :2], second[:, :2]), torch.minimum(first[:, 2:], second[:, 2:])
    inner = (lower_right - upper_left).clamp(min=0).prod(1)
    outer = (torch.maximum(first[:, 2:], second[:, 2:]) - torch.minimum(first[:, :2], second[:, :2])).prod(1)
    areas = [(box[:, 2:] - box[:, :2]).clamp(min=0).prod(1) for box in (first, second)]
    union = areas[0] + areas[1] - inner
    iou = inner / union.clamp(min=1e-6)
    return iou, iou - (outer - union) / outer.clamp(min=1e-6)


def export(net: torch.nn.Module, path: Path) -> None:
    """Write the network as insightface expects it; nine outputs of shape [cells * 2, 1 | 4 | 10]."""
    import torch

    from drawn_world.face_pack.export import export_half
    from drawn_world.face_pack.networks import ScrfdOutputs

    names = [f"{kind}_{stride}" for kind in ("score", "bbox", "kps") for stride in STRIDES]
    export_half(ScrfdOutputs(net), torch.zeros(1, 3, INPUT_PX, INPUT_PX), path, names, dynamic=True)
    _log.info("wrote %s: %d bytes", path, path.stat().st_size)


def _follow(average: torch.nn.Module, net: torch.nn.Module, keep: float) -> None:
    """Move the averaged weights and statistics a little towards the network's."""
    import torch

    with torch.no_grad():
        for mean, now in zip(average.state_dict().values(), net.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(now, 1 - keep)
            else:
                mean.copy_(now)


if __name__ == "__main__":
    main()
