"""Stage identity_net: a ControlNet on the frozen SDXL base that is shown five points and looks at the face's tokens.

InstantID's and EcomID's in one: both read InstantID's tokens. Half of the rows are painted without the branches, so
that it does not lean on them: EcomID's are PuLID's.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from diffusers import ControlNetModel
from torch import Tensor, nn

from drawn_world import layouts, painter, sdxl
from drawn_world.diffusion import Noisy
from drawn_world.latents import Batch
from drawn_world.plan import Plan
from drawn_world.workspace import Workspace
from idgen.faces import keypoints
from idgen.networks import attention

PLACED_SHARE = 0.8
SCALES = (0.0, 1.0)
DROPS = (0.06, 0.06, 0.1)
POINT_ERROR = 0.012
"""Deviation of a drawn point from where it is in the picture, in parts of its side: references are not exact."""
HINT_WIDTHS = (16, 32, 64)
"""Of the layers that shrink the drawing fourfold, as the autoencoder does."""
_FROM_UNET = (
    "block_out_channels", "norm_num_groups", "cross_attention_dim", "attention_head_dim", "layers_per_block",
    "transformer_layers_per_block", "use_linear_projection", "addition_embed_type", "addition_time_embed_dim",
    "projection_class_embeddings_input_dim", "down_block_types",
)  # fmt: skip


def config(plan: Plan) -> dict[str, Any]:
    """Return ControlNetModel's settings."""
    unet = layouts.sdxl(plan)
    return {**{key: unet[key] for key in _FROM_UNET}, "conditioning_embedding_out_channels": HINT_WIDTHS}


def train(space: Workspace) -> None:
    """Train it, from the UNet's own way down."""
    if space.weights("identity_net").exists():
        return
    torch.manual_seed(space.plan.seed + 30)
    base, parts = sdxl.load(space)
    net = ControlNetModel(**config(space.plan)).to(memory_format=torch.channels_last)
    net.load_state_dict(parts["unet"].state_dict(), strict=False)  # what has the same name is the same layer
    attention.install(net)
    made = replace(base, residuals=residuals(net, space), placed_share=PLACED_SHARE, scales=SCALES, drops=DROPS)
    painter.learn(space, "identity_net", made, net, space.plan.identity_net)


def residuals(net: Any, space: Workspace) -> painter.Residuals:
    """Return what runs the net beside the UNet."""

    def run(batch: Batch, noisy: Noisy, tokens: Tensor, words: dict[str, Any]) -> dict[str, Any]:
        """Return the net's residuals in the UNet's words."""
        drawn = draw(batch.points, space.plan.picture_px, space.device)
        down, mid = net(
            noisy.latents.contiguous(memory_format=torch.channels_last), noisy.timesteps, tokens, drawn,
            added_cond_kwargs=words["added_cond_kwargs"], return_dict=False,
        )  # fmt: skip
        return {"down_block_additional_residuals": down, "mid_block_additional_residual": mid}

    return run


def draw(points: Tensor, px: int, device: torch.device) -> Tensor:
    """Return InstantID's drawings [B, 3, px, px] in 0..1 of points [B, 5, 2] in 0..1, a little off."""
    places = points.cpu().numpy()
    off = np.random.default_rng(int(abs(places).sum() * 1e6)).normal(0, POINT_ERROR, places.shape)
    drawn = np.stack([keypoints.draw((one * px).astype(np.float32), (px, px)) for one in places + off])
    return torch.from_numpy(drawn).to(device).permute(0, 3, 1, 2).float() / 255


def load(space: Workspace) -> nn.Module:
    """Return the trained net, frozen."""
    net: nn.Module = ControlNetModel(**config(space.plan))
    net.load_state_dict(torch.load(space.weights("identity_net"), weights_only=True))
    return net.requires_grad_(False).eval()
