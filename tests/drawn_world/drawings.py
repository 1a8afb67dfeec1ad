"""Stage render: all drawings, drawn once by several processes into memory-mapped arrays. No torch here.

calm.npy    [people, looks, S, S, 3] uint8      calm_facts.npy    [people, looks, 3] uint8 (prompts.Facts.numbers)
calm_points.npy [people, looks, 5, 2] float32   references.npy    [people, references, 512] float32, raw
placed*.npy: the same of the first placed_people
"""

import multiprocessing
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from drawn_world import people
from drawn_world.plan import Plan
from drawn_world.prompts import Facts
from drawn_world.workspace import Workspace
from idgen.tiny.people import Look
from idgen.tiny.render import Drawing

SLICE = 50
"""People drawn at a time."""

Draw = Callable[[int, int, int], tuple[Drawing, Look]]


def render(space: Workspace) -> None:
    """Draw everything that is not there yet."""
    plan = space.plan
    fill(space, _draw, {"calm": plan.people}, _shapes(plan, "calm", plan.people, plan.looks), ("calm", plan))
    fill(space, _draw, {"placed": plan.placed_people},
         _shapes(plan, "placed", plan.placed_people, plan.placed_looks), ("placed", plan))  # fmt: skip
    fill(
        space, _embed, {"references": plan.people}, {"references": ((plan.people, plan.references, 512), "f4")}, (plan,)
    )


def fill(
    space: Workspace,
    part: Callable[..., None],
    what: dict[str, int],
    shapes: dict[str, tuple[tuple[int, ...], str]],
    given: tuple[object, ...],
) -> None:
    """Fill the arrays `shapes` (name -> shape, dtype) by calls of `part` in several processes; whole ones are kept.

    `what` names the work and says how many people it has. `part(paths, start, stop, *given)` fills theirs.
    """
    paths = {name: space.data(name) for name in shapes}
    if all(path.exists() for path in paths.values()):
        return
    ((name, count),) = what.items()
    begin = time.monotonic()
    drafts = {name: path.with_suffix(".part.npy") for name, path in paths.items()}
    for one, (shape, dtype) in shapes.items():
        np.lib.format.open_memmap(drafts[one], "w+", dtype, shape)
    edges = [*range(0, count, SLICE), count]
    jobs = [(part, drafts, start, stop, given) for start, stop in pairwise(edges)]
    if space.processes > 1:
        with multiprocessing.get_context("spawn").Pool(space.processes) as pool:
            list(pool.imap_unordered(_run, jobs))
    else:
        for job in jobs:
            _run(job)
    for one, path in paths.items():
        drafts[one].replace(path)
    space.note("render", what=name, people=count, seconds=round(time.monotonic() - begin, 1))


def load(space: Workspace, name: str) -> NDArray[np.generic]:
    """Return an array that a stage has filled, mapped, not read."""
    array: NDArray[np.generic] = np.load(space.data(name), mmap_mode="r")
    return array


def _run(job: tuple[Callable[..., None], dict[str, Path], int, int, tuple[object, ...]]) -> None:
    part, drafts, start, stop, given = job
    cv2.setNumThreads(1)
    arrays = {name: np.load(path, mmap_mode="r+") for name, path in drafts.items()}
    part(arrays, start, stop, *given)


def _shapes(plan: Plan, name: str, count: int, looks: int) -> dict[str, tuple[tuple[int, ...], str]]:
    px = plan.picture_px
    return {
        name: ((count, looks, px, px, 3), "u1"),
        f"{name}_facts": ((count, looks, 3), "u1"),
        f"{name}_points": ((count, looks, 5, 2), "f4"),
    }


def _draw(arrays: dict[str, NDArray[np.generic]], start: int, stop: int, kind: str, plan: Plan) -> None:
    draw: Draw = people.calm if kind == "calm" else people.placed
    for person in range(start, stop):
        for number in range(arrays[kind].shape[1]):
            drawing, look = draw(people.TRAINED + person, number, plan.picture_px)
            arrays[kind][person, number] = drawing.image
            arrays[f"{kind}_facts"][person, number] = Facts.of_look(look).numbers()
            arrays[f"{kind}_points"][person, number] = drawing.keypoints[0]


def _embed(arrays: dict[str, NDArray[np.generic]], start: int, stop: int, plan: Plan) -> None:
    from drawn_world.recogniser import Embedder  # imports torch, which those that draw do without

    embedder = Embedder()
    for person in range(start, stop):
        for number in range(plan.references):
            photo = people.reference(people.TRAINED + person, number)
            arrays["references"][person, number] = embedder.embed(photo)
