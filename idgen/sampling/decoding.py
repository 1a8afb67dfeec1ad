"""Latents to 8-bit pictures, on the device."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

CHUNK_PIXELS = 2**20
"""Decoded at a time: the decoder needs far more memory per row than the UNet."""


def decode(vae: Any, latents: Tensor) -> Iterator[Tensor | None]:  # noqa: ANN401
    """Yield a uint8 picture [H, W, 3] on the CPU per row of `latents` [B, 4, h, w], None where it is not finite.

    Equal to diffusers' `output_type="pil"`; rounding happens on the device, so a picture travels as bytes.
    """
    factor = 2 ** (len(vae.config.block_out_channels) - 1)
    rows = max(1, CHUNK_PIXELS // (latents.shape[-1] * latents.shape[-2] * factor**2))
    for chunk in torch.split(latents, rows):
        image = vae.decode(chunk.to(vae.dtype) / vae.config.scaling_factor, return_dict=False)[0]
        finite = torch.isfinite(image).flatten(1).all(1).tolist()
        pictures = to_uint8(image).cpu()
        yield from (picture if good else None for picture, good in zip(pictures, finite, strict=True))


def to_uint8(image: Tensor) -> Tensor:
    """[B, 3, H, W] in -1..1 -> uint8 [B, H, W, 3], the order and rounding of diffusers' VaeImageProcessor."""
    unit = (image * 0.5 + 0.5).clamp(0, 1).float()
    return (unit * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()
