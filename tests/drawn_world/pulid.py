"""Stage pulid: version 1's encoder and branches on the frozen SDXL base, in the mode fidelity, with its zero tokens."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from drawn_world import drawings, painter, sdxl
from drawn_world.branches import Adapter
from drawn_world.latents import Batch
from drawn_world.plan import Plan
from drawn_world.seen import EVA
from drawn_world.workspace import Workspace
from idgen.networks import pulid
from idgen.networks.pulid import IdEncoder
from idgen.recipes.variants import PULID_V1

WIDTH = 128
SCALES = (0.7, 1.0)
QUIET = 0.1
"""Of what the tower's states say at first: the embedding knows more of the person than a tower nobody trained."""


def train(space: Workspace) -> None:
    """Train encoder and branches."""
    if space.weights("pulid").exists():
        return
    torch.manual_seed(space.plan.seed + 40)
    base, parts = sdxl.load(space)
    for branch in parts["adapter"].branches:
        branch.requires_grad_(False)
    adapter = assemble(space, base.unet)
    made = replace(base, adapter=adapter, tokens=tokens(adapter.projection, space), scales=SCALES)
    painter.learn(space, "pulid", made, adapter, space.plan.pulid, people=space.plan.seen_people)


def assemble(space: Workspace, unet: Any) -> Adapter:
    """Return the adapter, with random weights, as the only one of `unet`."""
    for processor in unet.attn_processors.values():
        if hasattr(processor, "branches"):
            processor.branches.clear()
    encoder = make_encoder(space.plan)
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            if name.startswith("mapping") and ".6." in name:
                parameter.mul_(QUIET)
    return Adapter(unet, encoder, space.plan.text_width, combine=PULID_V1.combine, attn_mean=PULID_V1.attn_mean)


def make_encoder(plan: Plan) -> IdEncoder:
    """Return version 1's encoder for the tower of seen.py."""
    return IdEncoder(512 + EVA.pooled_width, WIDTH, EVA.width, WIDTH // 2, plan.text_width)


def tokens(encoder: nn.Module, space: Workspace) -> painter.Tokens:
    """Return what makes tokens of embeddings and of what the tower saw; nobody is zeros; zero tokens follow."""
    pooled, states = (np.asarray(drawings.load(space, f"seen_{name}")) for name in ("pooled", "states"))

    def make(batch: Batch, told: Tensor) -> Tensor:
        """Return tokens [B, T, D]; of nobody where `told` is 0."""
        seen = torch.from_numpy(pooled[batch.who, batch.which]).float().to(space.device)
        levels = torch.from_numpy(states[batch.who, batch.which]).float().to(space.device).transpose(0, 1)
        cond = pulid.id_cond(batch.embeddings, seen) * told[:, None]
        out: Tensor = encoder(cond, levels * told[None, :, None, None])
        return nn.functional.pad(out, (0, 0, 0, PULID_V1.zeros))

    return make
