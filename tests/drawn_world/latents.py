"""What the diffusion stages learn from: latents with their facts, faces and people, picked by numbers."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from drawn_world import drawings
from drawn_world.prompts import Facts
from drawn_world.workspace import Workspace

HELD_BACK = 0.02
"""Share of the people, the last ones, that nothing learns from: what separation is measured on."""


@dataclass(frozen=True, slots=True)
class Batch:
    """B pictures and whose they are; everything on the training's device but the words."""

    latents: Tensor  # [B, 4, h, h] float32
    points: Tensor  # [B, 5, 2] in 0..1
    numbers: Tensor  # [B, 3] places in SCENES, SHIRTS, EXPRESSIONS
    facts: list[Facts]
    embeddings: Tensor  # [B, 512] raw, of another drawing of the same person
    who: NDArray[np.int64]  # [B]
    which: NDArray[np.int64]  # [B] the reference that `embeddings` are of
    drawing: NDArray[np.int64]  # [B, 3] 1 for placed drawings and 0 for calm ones, person, look


class Latents:
    """All latents; `people` of them at most, so that what is known of fewer people can go along."""

    def __init__(self, space: Workspace, people: int | None = None) -> None:
        self._kinds = {
            kind: [np.asarray(drawings.load(space, f"{kind}_{part}")) for part in ("latents", "facts", "points")]
            for kind in ("calm", "placed")
        }
        self._references = np.asarray(drawings.load(space, "references"))
        self._px = space.plan.picture_px
        self._device = space.device
        count = min(people or space.plan.people, space.plan.people)
        self._learnt = max(1, count - max(2, round(HELD_BACK * count)))
        self._count = count

    def batch(self, size: int, placed_share: float, rng: np.random.Generator, held_back: bool = False) -> Batch:
        """Return `size` pictures, `placed_share` of them with faces anywhere."""
        low, high = (self._learnt, self._count) if held_back else (0, self._learnt)
        kinds = rng.random(size) < placed_share
        who, looks, picked = np.zeros(size, np.int64), np.zeros(size, np.int64), []
        for row, placed in enumerate(kinds):
            arrays = self._kinds["placed" if placed else "calm"]
            people = len(arrays[0])
            person = int(rng.integers(low, high)) if high <= people else int(rng.integers(min(self._learnt, people)))
            who[row] = person
            looks[row] = rng.integers(arrays[0].shape[1])
            picked.append([array[person, looks[row]] for array in arrays])
        latents, numbers, points = (np.stack([one[part] for one in picked]) for part in range(3))
        which = rng.integers(self._references.shape[1], size=size)
        return Batch(
            latents=torch.from_numpy(latents).float().to(self._device),
            points=torch.from_numpy(points).to(self._device) / self._px,
            numbers=torch.from_numpy(numbers).long().to(self._device),
            facts=[Facts.of(row, portrait=not place) for row, place in zip(numbers, kinds, strict=True)],
            embeddings=torch.from_numpy(self._references[who, which]).to(self._device),
            who=who,
            which=which,
            drawing=np.stack([kinds, who, looks], 1).astype(np.int64),
        )

    def people_embeddings(self) -> Tensor:
        """Return every person's mean embedding of length 1, [people, 512]."""
        each = torch.from_numpy(self._references.copy()).to(self._device)
        return torch.nn.functional.normalize(torch.nn.functional.normalize(each, dim=-1).mean(1), dim=-1)


def face_map(points: Tensor, side: int) -> Tensor:
    """Return where faces are, [B, 1, side, side] in 0..1, of their five points [B, 5, 2] in 0..1."""
    middle = points.mean(1)
    reach = (points - middle[:, None]).norm(dim=-1).mean(1)[:, None, None]  # about a third of a face's width
    at = (torch.arange(side, device=points.device) + 0.5) / side
    across = (at[None, None, :] - middle[:, 0, None, None]) / (2.3 * reach)
    down = (at[None, :, None] - middle[:, 1, None, None]) / (3.0 * reach)
    inside: Tensor = (1 - (across**2 + down**2)).clamp(0, 0.5).mul(2)[:, None]
    return inside
