"""Stage judge: who is it, and what does the picture show? For the evaluation alone: nothing is trained through these.

The judge of people has other people, another seed, frame and architecture than the recogniser that conditions.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from drawn_world import drawings, people
from drawn_world.face_pack.recogniser import MARGIN, attributes, losses
from drawn_world.loop import Loop
from drawn_world.networks import Judge, Reader
from drawn_world.pictures import Pictures, facts_loss, harder, unit
from drawn_world.plan import Plan
from drawn_world.recogniser import face_crops
from drawn_world.workspace import Workspace
from idgen.tiny.people import DrawnPerson, Look
from idgen.tiny.render import draw_portrait

SIZES_PX = (80, 96, 128, 192)
SHIFT = 0.04
"""Jitter of a crop's place and size in each step, in parts of its side."""


def train(space: Workspace) -> None:
    """Draw the judge's people, train judge and reader."""
    if not space.weights("judge").exists():
        train_judge(space)
    if not space.weights("reader").exists():
        train_reader(space)


def train_judge(space: Workspace) -> None:
    """CosFace over the people, and a regression of what they are drawn from."""
    plan = space.plan
    shape = (plan.judged_people, plan.judged_looks, Judge.SIDE_PX, Judge.SIDE_PX, 3)
    drawings.fill(space, _crops, {"judged": plan.judged_people}, {"judged": (shape, "u1")}, (plan,))
    crops = drawings.load(space, "judged")
    wanted = np.stack([attributes(DrawnPerson.sample(people.JUDGED + at)) for at in range(plan.judged_people)])
    torch.manual_seed(plan.seed + 1)
    net = Judge()
    centres, numbers = nn.Linear(512, len(crops), bias=False), nn.Linear(512, wanted.shape[1])
    loop = Loop("judge_parts", nn.ModuleDict({"net": net, "centres": centres, "numbers": numbers}), plan.judge, space)
    targets = torch.from_numpy((wanted - wanted.mean(0)) / (wanted.std(0) + 1e-4)).to(space.device)
    for _ in loop:
        rng, generator = loop.numbers(), loop.generator()
        who = rng.integers(len(crops), size=plan.judge.batch)
        look = rng.integers(crops.shape[1], size=plan.judge.batch)
        faces = unit(torch.from_numpy(np.asarray(crops[who, look])).to(space.device))
        with space.autocast():
            embedding = net(_shifted(harder(faces, generator), generator))
        unit_long = functional.normalize(embedding.float())
        margin = MARGIN * min(1.0, loop.share / 0.3)
        terms = losses(unit_long, torch.from_numpy(who).to(space.device), centres, numbers, targets, margin)
        loop.update(terms[:2].sum(), {"people": terms[0], "numbers": terms[1], "right": terms[2]})
    loop.finish()
    torch.save({name: tensor.half().cpu() for name, tensor in net.state_dict().items()}, space.weights("judge"))


def train_reader(space: Workspace) -> None:
    """Teach a classifier of scene, shirt and expression on the training's own drawings."""
    torch.manual_seed(space.plan.seed + 2)
    net, pictures, length = Reader(), Pictures(space), space.plan.reader
    loop = Loop("reader", net, length, space)
    for _ in loop:
        pixels, facts, _ = pictures.batch(length.batch, 0.3, loop.numbers())
        with space.autocast():
            logits = net(harder(pixels, loop.generator()))
        loss, right = facts_loss(logits, facts)
        loop.update(loss, {"loss": loss, "scene": right[0], "shirt": right[1], "expression": right[2]})
    loop.finish()


def load_judge(space: Workspace) -> Judge:
    """Return the trained judge, frozen."""
    net = Judge()
    net.load_state_dict(torch.load(space.weights("judge"), weights_only=True))
    return net.requires_grad_(False).eval().to(space.device)


def load_reader(space: Workspace) -> Reader:
    """Return the trained reader, frozen."""
    net = Reader()
    net.load_state_dict(torch.load(space.weights("reader"), weights_only=True))
    return net.requires_grad_(False).eval().to(space.device)


def _crops(arrays: dict[str, NDArray[np.uint8]], start: int, stop: int, plan: Plan) -> None:
    torch.set_num_threads(1)
    for at in range(start, stop):
        rng = np.random.default_rng([people.JUDGED + at, 7])
        person = DrawnPerson.sample(people.JUDGED + at)
        for look in range(plan.judged_looks):
            drawn = draw_portrait(
                person, Look.sample(int(rng.integers(2**40)), calm=look % 2 == 0), int(rng.choice(SIZES_PX))
            )
            photo = people.found(drawn, rng)
            face = face_crops(
                unit(torch.from_numpy(photo.pixels)[None]), torch.from_numpy(photo.points)[None],
                Judge.SIDE_PX, Judge.ROOM,
            )  # fmt: skip
            arrays["judged"][at, look] = ((face[0] + 1) * 127.5).round().permute(1, 2, 0).byte().numpy()


def _shifted(faces: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Move and resize each crop a little."""
    count = len(faces)
    moves = torch.randn(count, 3, generator=generator).to(faces.device) * SHIFT
    turn = torch.zeros(count, 2, 3, device=faces.device)
    turn[:, 0, 0] = turn[:, 1, 1] = 1 + moves[:, 2]
    turn[:, :, 2] = 2 * moves[:, :2]
    grid = functional.affine_grid(turn, list(faces.shape), align_corners=False)
    return functional.grid_sample(faces, grid, align_corners=False, padding_mode="border")
