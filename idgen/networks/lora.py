"""LoRA of the IP-Adapter files: merged into the UNet once, in float32, before the weights are cast."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from idgen.errors import Exit, RunError
from idgen.networks.attention import Unet, layer

TARGETS = {"to_q": "to_q", "to_k": "to_k", "to_v": "to_v", "to_out": "to_out.0"}
"""Name in the file -> name in diffusers' attention module."""


def expected_keys(processor_names: list[str]) -> set[str]:
    """Return the keys of a full LoRA: q, k, v, out of every self- and cross-attention, `{i}.to_q_lora.down.weight`."""
    return {
        f"{index}.{target}_lora.{half}.weight"
        for index in range(len(processor_names))
        for target in TARGETS
        for half in ("down", "up")
    }


def merge(
    unet: Unet, weights: Mapping[str, Tensor], scale: float, source: str, dtype: torch.dtype = torch.float32
) -> None:
    """Add `scale * up @ down` to the weights of `unet` in float32, and cast each layer to `dtype` at once.

    A layer is to be cast once, so `dtype` is float32 while more is to be merged. The last merge gives the dtype that
    the UNet is cast to in the end: one layer at a time is in float32 then, where all of SDXL's would take 4.2 GB.

    `weights` are keyed by the position of the layer in `unet.attn_processors`. The files have no alpha, so its
    factor is 1. Raises RunError when a shape does not fit this UNet.
    """
    for index, name in enumerate(unet.attn_processors):
        for target, path in TARGETS.items():
            down, up = (weights[f"{index}.{target}_lora.{half}.weight"].float() for half in ("down", "up"))
            linear = layer(unet, name).get_submodule(path)
            if (up.shape[0], down.shape[1]) != tuple(linear.weight.shape):
                raise RunError(
                    Exit.USAGE,
                    f"{source}: LoRA {index}.{target} is for a layer of {up.shape[0]}x{down.shape[1]}, the base has "
                    f"{tuple(linear.weight.shape)}; is the adapter made for another kind of base?",
                )
            merged = linear.weight.float() + scale * (up @ down).to(linear.weight.device)
            linear.weight = nn.Parameter(merged.to(dtype), requires_grad=False)
