"""How text and identities are bound in a UNet: keys and values of every cross-attention, made once a batch."""

from collections.abc import Sequence
from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from idgen.adapters.protocol import Adapter, Host
from idgen.networks import attention
from idgen.networks.branch import Branch
from idgen.recipes.families import family_of
from idgen.sampling import controls
from idgen.sampling.conditions import Conditions
from idgen.sampling.controls import Nets
from idgen.sampling.parts import Denoiser, NetConfig


class UnetConfig(NetConfig):
    """A UNet's settings. Nothing is made of this class."""

    cross_attention_dim: int | Sequence[int]


class Unet(Denoiser, Protocol):
    """What is used of diffusers' UNets beside their attentions."""

    encoder_hid_proj: nn.Module | None
    """What brings the text encoder's states to the width that the cross-attentions read."""

    @property
    def config(self) -> UnetConfig:
        """Its settings."""
        ...


def host_of(unet: Unet) -> Host:
    """Return what adapters hang into of a UNet, and what they have to know of it."""
    width = unet.config.cross_attention_dim
    return Host(
        denoiser=unet,
        family=family_of(unet.config),
        text_width=width if isinstance(width, int) else None,
        text_projection=text_projection(unet),
    )


def text_projection(unet: Unet) -> nn.Linear | None:
    """Return what projects the text encoder's states inside of `unet` (Kolors: 4096 -> 2048), None if nothing does."""
    found = unet.encoder_hid_proj
    return found if isinstance(found, nn.Linear) else None


def bind(unet: Unet, conditions: Conditions, adapters: Sequence[Adapter], nets: Nets, dtype: torch.dtype) -> None:
    """Bind a batch's text and tokens in `unet` and in the `nets` that it uses; `dtype` is the UNet's."""
    negative = conditions.negative
    states = conditions.prompt if negative is None else torch.cat([negative, conditions.prompt])
    projection = text_projection(unet)
    attention.bind_text(unet, states if projection is None else projection(states))
    used = {use.name for use in conditions.controls}
    controls.bind(nets, used, states, conditions.context, conditions.identity_scale)
    for adapter, tokens, scale in zip(adapters, conditions.tokens, conditions.scales, strict=True):
        seen = through_text(projection, tokens) if projection is not None and adapter.through_text else tokens
        for branch in adapter.branches:
            cast(Branch, branch).bind(seen, scale, dtype)


def through_text(projection: nn.Linear, tokens: Tensor) -> Tensor:
    """Return `tokens` [R, n, T, D] as the UNet projects text; like all that is done to tokens, in float32."""
    return functional.linear(tokens, projection.weight.float(), projection.bias.float())
