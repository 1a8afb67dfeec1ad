"""Latents to 8-bit pictures, on the device."""

import torch
from torch import Tensor

from idgen.networks.transfers import Downloads, upload
from idgen.sampling.parts import Vae, VaeConfig

CHUNK_PIXELS = 2**20
"""Decoded at a time: the decoder needs far more memory per row than the UNet."""


def decode(vae: Vae, latents: Tensor, downloads: Downloads | None = None) -> list[Tensor | None]:
    """Return a uint8 picture [H, W, 3] on the CPU per row of `latents` [B, 4, h, w], None where it is not finite.

    Equal to diffusers' `output_type="pil"`; rounding happens on the device, so a picture travels as bytes. All chunks
    are queued before the only wait, that of `downloads`.
    """
    downloads = downloads or Downloads()
    factor = 2 ** (len(vae.config.block_out_channels) - 1)
    rows = max(1, CHUNK_PIXELS // (latents.shape[-1] * latents.shape[-2] * factor**2))
    chunks = []
    for chunk in torch.split(_unscaled(latents.to(vae.dtype), vae.config), rows):
        image = vae.decode(chunk, return_dict=False)[0]
        finite = torch.isfinite(image).flatten(1).all(1)
        chunks.append((downloads.add(to_uint8(image)), downloads.add(finite)))
    downloads.wait()
    return [
        picture if good else None
        for pictures, finite in chunks
        for picture, good in zip(pictures, finite.tolist(), strict=True)
    ]


def _unscaled(latents: Tensor, config: VaeConfig) -> Tensor:
    """Return `latents` [B, 4, h, w] as the VAE knows them; in the order of operations that diffusers has."""
    factor: float = config.scaling_factor
    mean, std = (getattr(config, name, None) for name in ("latents_mean", "latents_std"))
    if mean is None or std is None:
        return latents / factor
    shift, spread = (
        upload(torch.tensor(values).view(1, -1, 1, 1), latents.device, latents.dtype) for values in (mean, std)
    )
    return latents * spread / factor + shift


def to_uint8(image: Tensor) -> Tensor:
    """[B, 3, H, W] in -1..1 -> uint8 [B, H, W, 3], the order and rounding of diffusers' VaeImageProcessor."""
    unit = (image * 0.5 + 0.5).clamp(0, 1).float()
    return (unit * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()
