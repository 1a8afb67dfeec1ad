"""Batches of drawings for the networks that look at pixels, and how they are made harder."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from drawn_world import drawings
from drawn_world.networks import Reader
from drawn_world.workspace import Workspace


class Pictures:
    """The calm and the placed drawings of a training; picks by numbers, `placed_share` of them placed."""

    def __init__(self, space: Workspace) -> None:
        self._arrays = {
            kind: [drawings.load(space, name) for name in (kind, f"{kind}_facts", f"{kind}_points")]
            for kind in ("calm", "placed")
        }
        self._device = space.device

    def batch(self, size: int, placed_share: float, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Return pictures [B, 3, S, S] in -1..1, facts [B, 3] and points [B, 5, 2] in pixels."""
        placed = rng.random(size) < placed_share
        picked: list[list[np.ndarray]] = [[], [], []]
        for one in placed:
            arrays = self._arrays["placed" if one else "calm"]
            at = tuple(int(rng.integers(side)) for side in arrays[0].shape[:2])
            for parts, array in zip(picked, arrays, strict=True):
                parts.append(np.asarray(array[at]))
        pixels, facts, points = (torch.from_numpy(np.stack(parts)).to(self._device) for parts in picked)
        return unit(pixels), facts.long(), points


def unit(pixels: Tensor) -> Tensor:
    """uint8 [B, H, W, 3] -> float32 [B, 3, H, W] in -1..1."""
    return pixels.permute(0, 3, 1, 2).float() / 127.5 - 1


def harder(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Return `pictures` [B, 3, H, H] in -1..1 in other light, softer, with noise: like generated ones."""

    def chance(*shape: int) -> Tensor:
        """Return random numbers of this shape."""
        return torch.rand(shape, generator=generator).to(pictures.device)

    count, side = len(pictures), pictures.shape[-1]
    soft = functional.interpolate(
        functional.interpolate(pictures, scale_factor=0.5, mode="area"), (side, side), mode="bilinear"
    )
    blend = (chance(count, 1, 1, 1) - 0.3).clamp(min=0) * 1.2
    light = pictures + blend * (soft - pictures)
    light = light * (0.88 + 0.24 * chance(count, 3, 1, 1)) + 0.2 * (chance(count, 1, 1, 1) - 0.5)
    noise = torch.randn(pictures.shape, generator=generator).to(pictures.device)
    return light + noise * 0.12 * (chance(count, 1, 1, 1) - 0.4).clamp(min=0)


def facts_loss(logits: Tensor, facts: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean cross-entropy of Reader's `logits` [B, 20] for `facts` [B, 3], and the share right [3]."""
    parts = torch.split(logits.float(), Reader.SIZES, dim=1)
    loss = torch.stack([functional.cross_entropy(part, facts[:, at]) for at, part in enumerate(parts)]).mean()
    right = torch.stack([(part.argmax(1) == facts[:, at]).float().mean() for at, part in enumerate(parts)])
    return loss, right
