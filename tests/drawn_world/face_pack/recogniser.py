"""Train the face pack's recogniser on drawings and write it in ArcFace's format (112 px RGB crop to 512 numbers).

    python -m drawn_world.face_pack.recogniser --out idgen/tiny/facepack --cache /tmp/drawings

CosFace over the training people, plus a regression of the numbers each person was drawn from: the regression teaches
what a face is made of, which is what carries over to people never seen. With another --seed and --width it makes a
second, independent judge for the evaluation.
"""

from __future__ import annotations

import argparse
import logging
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from drawn_world.face_pack.data import CROP_PX, render_crops
from idgen.tiny.people import BEARDS, GLASSES, HAIR_STYLES, DrawnPerson

if TYPE_CHECKING:
    import torch

_log = logging.getLogger(__name__)

FILE = "rec_drawn.onnx"
LOGIT_SCALE, MARGIN = 24.0, 0.35


def main() -> None:
    """Parse the command line, render, train, export."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for rec_drawn.onnx")
    parser.add_argument("--cache", type=Path, required=True, help="folder for drawings (2 GB) and checkpoints")
    parser.add_argument("--people", type=int, default=4000)
    parser.add_argument("--looks", type=int, default=10, help="drawings of each person")
    parser.add_argument("--steps", type=int, default=3300)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seed", type=int, default=2_000_000, help="first person; later people must be unseen")
    parser.add_argument("--width", type=int, default=40)
    parser.add_argument("--processes", type=int, default=1, help="renderers")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")

    import torch

    torch.set_num_threads(args.threads)
    cv2.setNumThreads(1)
    torch.manual_seed(args.seed)
    crops = render_crops(args.cache, args.people, args.looks, args.seed, args.processes)
    wanted = np.stack([attributes(DrawnPerson.sample(args.seed + i)) for i in range(args.people)])
    args.out.mkdir(parents=True, exist_ok=True)
    checkpoint = args.cache / f"recogniser-{args.seed}-{args.width}.pt"
    export(train(crops, wanted, args.steps, args.batch, args.seed, args.width, checkpoint), args.out / FILE)


def train(
    crops: NDArray[np.uint8], wanted: NDArray[np.float32], steps: int, batch: int, seed: int, width: int, path: Path
) -> torch.nn.Module:
    """Train for `steps`, going on from the checkpoint at `path` if there is one; returns the recogniser."""
    import torch

    from drawn_world.face_pack.loop import Loop
    from drawn_world.face_pack.networks import Recogniser

    net = Recogniser(width)
    centres = torch.nn.Linear(512, len(crops), bias=False)
    reader = torch.nn.Linear(512, wanted.shape[1])
    loop = Loop(torch.nn.ModuleList([net, centres, reader]), steps, path, decay=0.05)
    targets = torch.from_numpy((wanted - wanted.mean(0)) / (wanted.std(0) + 1e-4))
    net.train()
    for step in loop:
        loop.freeze_norms_late(net)
        pixels, who = batch_of(crops, batch, seed, step)
        with torch.autocast("cpu", torch.bfloat16):  # twice as fast where the processor knows it
            embedding = net(pixels)
        margin = MARGIN * min(1.0, step / (0.3 * steps))
        terms = losses(torch.nn.functional.normalize(embedding.float()), who, centres, reader, targets, margin)
        people, numbers, right = terms.detach().tolist()
        loop.update(terms[:2].sum(), {"people": people, "numbers": numbers, "right": right})
        loop.save()
    return net


def losses(
    embedding: torch.Tensor, who: torch.Tensor, centres: torch.nn.Linear, reader: torch.nn.Linear,
    targets: torch.Tensor, margin: float,
) -> torch.Tensor:  # fmt: skip
    """CosFace loss, regression loss and the share of faces recognised [3]; `embedding` [B, 512] has length one."""
    import torch
    from torch.nn import functional

    cosines = embedding @ functional.normalize(centres.weight).T
    right = (cosines.argmax(1) == who).float().mean()
    harder = cosines - margin * functional.one_hot(who, cosines.shape[1])
    people = functional.cross_entropy(harder * LOGIT_SCALE, who)
    numbers = functional.smooth_l1_loss(reader(embedding * 8), targets[who], beta=0.5)
    return torch.stack([people, numbers * 3, right])


def batch_of(crops: NDArray[np.uint8], batch: int, seed: int, step: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Augmented crops [B, 3, 112, 112] and whose they are [B]; the same for the same step."""
    import torch

    rng = np.random.default_rng([seed, step])
    who = rng.integers(0, len(crops), batch)
    pixels = np.stack([augmented(crops[i, rng.integers(crops.shape[1])], rng) for i in who])
    tensor = torch.from_numpy(pixels).permute(0, 3, 1, 2)  # channels last in memory, as the network likes it
    return (tensor - 127.5) / 127.5, torch.from_numpy(who)


def augmented(crop: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.float32]:
    """A flip, a small shift, other light, blur as from a small or generated picture, noise."""
    pixels = np.asarray(crop, np.float32)
    if rng.random() < 0.5:
        pixels = np.ascontiguousarray(pixels[:, ::-1])
    if rng.random() < 0.5:
        angle, zoom = float(rng.normal(0, 2.5)), float(rng.normal(1, 0.03))
        turn = np.asarray(cv2.getRotationMatrix2D((CROP_PX / 2, CROP_PX / 2), angle, zoom), np.float64)
        turn[:, 2] += rng.normal(0, 1.5, 2)
        pixels = np.asarray(cv2.warpAffine(pixels, turn, (CROP_PX, CROP_PX), borderMode=cv2.BORDER_REPLICATE))
    if rng.random() < 0.3:
        pixels = np.asarray(cv2.GaussianBlur(pixels, (0, 0), float(rng.uniform(0.5, 2.5))))
    pixels = pixels * rng.uniform(0.88, 1.12, 3).astype(np.float32) + np.float32(rng.uniform(-14, 14))
    if rng.random() < 0.3:
        pixels = pixels + rng.standard_normal(pixels.shape, dtype=np.float32) * np.float32(rng.uniform(1, 10))
    return np.clip(pixels, 0, 255)


def attributes(person: DrawnPerson) -> NDArray[np.float32]:
    """The numbers a person is drawn from, styles one-hot; mirrored ones are left out because crops are flipped."""
    numbers: list[float] = []
    choices = {"hair_style": HAIR_STYLES, "beard": BEARDS, "glasses": GLASSES}
    for field in fields(person):
        value = getattr(person, field.name)
        if field.name in choices:
            numbers += [float(value == choice) for choice in choices[field.name]]
        elif isinstance(value, tuple):
            hidden = (field.name == "frame" and person.glasses == "none") or (
                field.name == "beard_colour" and person.beard == "none"
            )
            numbers += [0.5 if hidden else channel / 255 for channel in value]
        elif field.name != "hair_side":
            numbers.append(float(value))
    return np.array(numbers, np.float32)


def export(net: torch.nn.Module, path: Path) -> None:
    """Write the network as insightface expects it: input [1, 3, 112, 112], one output [1, 512]."""
    import torch

    from drawn_world.face_pack.export import export_half

    export_half(net, torch.zeros(1, 3, CROP_PX, CROP_PX), path, ["embedding"], dynamic=False)
    _log.info("wrote %s: %d bytes", path, path.stat().st_size)


if __name__ == "__main__":
    main()
