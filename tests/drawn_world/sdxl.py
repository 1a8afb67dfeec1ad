"""Stage sdxl: the base with InstantID's tokens. No attention on its largest level, so much goes another way.

The prompt also arrives pooled, beside the time; a quarter of the pictures have faces anywhere, which IdentityNet will
steer; the critic looks on from the start.
"""

from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from drawn_world import layouts, painter, sd15
from drawn_world.branches import Adapter
from drawn_world.latents import Batch
from drawn_world.painter import Painter
from drawn_world.towers import SdxlText
from drawn_world.workspace import Workspace
from idgen.networks.resampler import Resampler

TOKENS, DEPTH = 16, 2
PLACED_SHARE = 0.25
SCALES = (0.7, 1.0)
"""Recipes ask for 0.8."""


def train(space: Workspace) -> None:
    """Train UNet, text encoders and InstantID's resampler and branches together."""
    if space.weights("sdxl").exists():
        return
    torch.manual_seed(space.plan.seed + 20)
    made, parts = assemble(space)
    teacher = sd15.load(space)[0] if space.plan.taught else None
    painter.learn(
        space, "sdxl", made, parts, space.plan.sdxl, mouths_from=sd15.MOUTHS_FROM, teacher=teacher, must_heed=True
    )


def assemble(space: Workspace) -> tuple[Painter, nn.ModuleDict]:
    """Return the painter, with random weights, and its modules as they are saved."""
    unet = UNet2DConditionModel(**layouts.sdxl(space.plan)).to(memory_format=torch.channels_last)
    text = SdxlText(space)
    width = space.plan.text_width
    resampler = Resampler(512, width, width, width, DEPTH, TOKENS)
    nn.init.normal_(resampler.latents, std=width**-0.5)
    adapter = Adapter(unet, resampler, width)
    parts = nn.ModuleDict({"unet": unet, "text": text, "adapter": adapter})
    made = Painter(unet=unet, text=text, adapter=adapter, tokens=raw(resampler), none=True, scales=SCALES,
                   placed_share=PLACED_SHARE)  # fmt: skip
    return made, parts


def load(space: Workspace) -> tuple[Painter, Any]:
    """Return the trained painter, frozen, and its modules."""
    return painter.trained(space, "sdxl", *assemble(space))


def raw(resampler: nn.Module) -> painter.Tokens:
    """Return what makes tokens of raw embeddings as a sequence of one; nobody is zeros."""

    def tokens(batch: Batch, told: Tensor) -> Tensor:
        """Return tokens [B, T, D]; of nobody where `told` is 0."""
        out: Tensor = resampler((batch.embeddings * told[:, None])[:, None])
        return out

    return tokens
