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
        image = vae.decode(_unscaled(chunk.to(vae.dtype), vae.config), return_dict=False)[0]
        finite = torch.isfinite(image).flatten(1).all(1).tolist()
        pictures = to_uint8(image).cpu()
        yield from (picture if good else None for picture, good in zip(pictures, finite, strict=True))


def _unscaled(latents: Tensor, config: Any) -> Tensor:  # noqa: ANN401
    """Return `latents` [B, 4, h, w] as the VAE knows them; in the order of operations that diffusers has."""
    factor: float = config.scaling_factor
    mean, std = (getattr(config, name, None) for name in ("latents_mean", "latents_std"))
    if mean is None or std is None:
        return latents / factor
    shift, spread = (torch.tensor(values).view(1, -1, 1, 1).to(latents) for values in (mean, std))
    return latents * spread / factor + shift


def to_uint8(image: Tensor) -> Tensor:
    """[B, 3, H, W] in -1..1 -> uint8 [B, H, W, 3], the order and rounding of diffusers' VaeImageProcessor."""
    unit = (image * 0.5 + 0.5).clamp(0, 1).float()
    return (unit * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()
