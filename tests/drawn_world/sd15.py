"""Stages sd15 and plus: the base with FaceID learns first, then FaceID-PlusV2 on the frozen base.

FaceID learns together with the base, which now and then gets nobody, so it makes generic people alone. Its file's LoRA
changes nothing; PlusV2's was learnt.
"""

from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from drawn_world import layouts, painter
from drawn_world.branches import Adapter
from drawn_world.latents import Batch
from drawn_world.painter import Painter
from drawn_world.towers import Sd15Text
from drawn_world.workspace import Workspace
from idgen.networks.projections import FaceIdProjection

TOKENS, HIDDEN = 4, 256
MOUTHS_FROM = 0.5
"""Share of a base's steps after which the critic minds expressions: before, mouths have no shape."""


def train(space: Workspace) -> None:
    """Train UNet, text encoder and FaceID together."""
    if space.weights("sd15").exists():
        return
    torch.manual_seed(space.plan.seed + 10)
    made, parts = assemble(space)
    painter.learn(space, "sd15", made, parts, space.plan.sd15, critic_from=0.1, mouths_from=MOUTHS_FROM, must_heed=True)


def assemble(space: Workspace) -> tuple[Painter, nn.ModuleDict]:
    """Return the painter, with random weights, and its modules as they are saved."""
    unet = UNet2DConditionModel(**layouts.sd15(space.plan)).to(memory_format=torch.channels_last)
    text = Sd15Text(space)
    width = space.plan.text_width
    projection = FaceIdProjection(512, HIDDEN, TOKENS, width)
    adapter = Adapter(unet, projection, width)
    parts = nn.ModuleDict({"unet": unet, "text": text, "adapter": adapter})
    return Painter(unet=unet, text=text, adapter=adapter, tokens=normed(projection)), parts


def load(space: Workspace) -> tuple[Painter, Any]:
    """Return the trained painter, frozen, and its modules."""
    return painter.trained(space, "sd15", *assemble(space))


def normed(projection: nn.Module) -> painter.Tokens:
    """Return what makes tokens of embeddings of length 1; nobody is zeros."""

    def tokens(batch: Batch, told: Tensor) -> Tensor:
        """Return tokens [B, T, D]; of nobody where `told` is 0."""
        unit = nn.functional.normalize(batch.embeddings, dim=-1)
        out: Tensor = projection(unit * told[:, None])
        return out

    return tokens
