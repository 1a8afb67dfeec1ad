"""Stage inpaint: EcomXL's ControlNet on the frozen SDXL base, shown a piece of the picture; the rest is a hole.

The piece has the shape of a garment below the face, so that products find sleeves, necks and somebody to wear them.
"""

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import torch
from diffusers import ControlNetModel
from numpy.typing import NDArray
from torch import Tensor, nn

from drawn_world import drawings, identity_net, painter, prompts, sdxl
from drawn_world.diffusion import Noisy
from drawn_world.latents import Batch
from drawn_world.workspace import Workspace
from idgen.networks import attention
from idgen.sampling.control_images import inpaint_image
from idgen.tiny.product import OUTLINE

PLACED_SHARE = 0.5
SCALES = (0.0, 1.0)
"""Of InstantID's branches: EcomID has others."""
DROPS = (0.06, 0.06, 0.1)
NECK = 2.5
"""From the middle of the five points down to the collar, in their mean distance from it."""
WIDTH = 7.0
"""Of the garment's outline's square, in the same."""
MOVES = 0.15
"""Deviation of both, and of the garment's place, in parts of the outline's square."""
SAID = 0.5
"""Share of the prompts that say what is worn: while all did, the net learnt no colours from what it was shown."""


def train(space: Workspace) -> None:
    """Train it, from the UNet's own way down."""
    if space.weights("inpaint").exists():
        return
    torch.manual_seed(space.plan.seed + 35)
    base, parts = sdxl.load(space)
    net = ControlNetModel(**identity_net.config(space.plan)).to(memory_format=torch.channels_last)
    net.load_state_dict(parts["unet"].state_dict(), strict=False)  # what has the same name is the same layer
    attention.install(net)
    made = replace(
        base, residuals=residuals(net, space), prompt=_prompt, placed_share=PLACED_SHARE, scales=SCALES, drops=DROPS
    )
    painter.learn(space, "inpaint", made, net, space.plan.inpaint)


def _prompt(facts: prompts.Facts, rng: np.random.Generator) -> str:
    return prompts.english(facts, rng) if rng.random() < SAID else prompts.without_clothes(facts, rng)


def residuals(net: Any, space: Workspace) -> painter.Residuals:
    """Return what runs the net beside the UNet; it looks at the text."""
    pixels = [drawings.load(space, kind) for kind in ("calm", "placed")]

    def run(batch: Batch, noisy: Noisy, _: Tensor, words: dict[str, Any]) -> dict[str, Any]:
        """Return the net's residuals in the UNet's words."""
        rng = np.random.default_rng(noisy.latents[:, 0, 0, 0].cpu().numpy().view(np.uint32))
        drawn = zip(batch.drawing, batch.points.cpu().numpy(), strict=True)
        shown = [piece(np.asarray(pixels[kind][who, look]), points, rng) for (kind, who, look), points in drawn]
        down, mid = net(
            noisy.latents.contiguous(memory_format=torch.channels_last), noisy.timesteps,
            words["encoder_hidden_states"], torch.stack(shown).to(space.device),
            added_cond_kwargs=words["added_cond_kwargs"], return_dict=False,
        )  # fmt: skip
        return {"down_block_additional_residuals": down, "mid_block_additional_residual": mid}

    return run


def piece(picture: NDArray[np.uint8], points: NDArray[np.float32], rng: np.random.Generator) -> Tensor:
    """Return `picture` [S, S, 3] as the net is shown it [3, S, S]: a hole but for a garment below its five points."""
    side = picture.shape[0]
    middle = points.mean(0)
    reach = float(np.linalg.norm(points - middle, axis=1).mean())
    width = WIDTH * reach * float(np.exp(rng.normal(0, MOVES)))
    outline = np.asarray(OUTLINE, np.float32)
    collar = np.array([0.5, outline[:, 1].min()], np.float32)
    down = points[3:].mean(0) - points[:2].mean(0)  # from the eyes to the mouth: heads lean
    down /= np.linalg.norm(down) + 1e-6
    place = middle + NECK * reach * down + rng.normal(0, MOVES / 3, 2) * width
    corners = (place + (outline - collar) * width) * side
    hole = np.full((side, side), 255, np.uint8)
    cv2.fillPoly(hole, [np.round(corners * 16).astype(np.int32)], 0, shift=4)
    return inpaint_image(picture, hole)


def load(space: Workspace) -> nn.Module:
    """Return the trained net, frozen."""
    net: nn.Module = ControlNetModel(**identity_net.config(space.plan))
    net.load_state_dict(torch.load(space.weights("inpaint"), weights_only=True))
    return net.requires_grad_(False).eval()
