"""The start of image to image: a picture's latents, computed once however many rows start from it."""

from collections.abc import Hashable
from hashlib import blake2b

import numpy as np
import torch
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from numpy.typing import NDArray
from torch import Tensor

from idgen.lru_cache import LruCache
from idgen.networks import transfers
from idgen.sampling.parts import Vae, VaeConfig

MAX_BYTES = 64 * 2**20
"""Of what the encoder gave, on the device: 128 pictures of 1024 px. Product photos come again within a shard; the faces
of the face pass never do, and would fill any room."""


class Starts:
    """Latents of start pictures; what the encoder gives is kept, the draw from it is the row's own."""

    def __init__(self, vae: Vae, max_bytes: int = MAX_BYTES) -> None:
        self._vae = vae
        self._moments: LruCache[Hashable, Tensor] = LruCache(lambda moments: moments.nbytes, max_bytes)
        self.encodings = 0

    def get(self, image: NDArray[np.uint8], generator: torch.Generator) -> Tensor:
        """Return scaled latents [4, h, w] of `image` [H, W, 3], float32, drawn with `generator` as diffusers does."""
        digest = blake2b(image.tobytes(), digest_size=16).digest()
        moments = self._moments.get_or_make((digest, image.shape), lambda: self._encode(image))
        drawn = DiagonalGaussianDistribution(moments).sample(generator)[0].float()
        return scale(self._vae.config, drawn)

    def clear(self) -> None:
        """Forget all pictures."""
        self._moments.clear()

    def _encode(self, image: NDArray[np.uint8]) -> Tensor:
        self.encodings += 1
        # batch first, or convolutions take these strides for another layout than diffusers gives them and round apart
        pixels = transfers.upload(torch.from_numpy(image.copy())[None].permute(0, 3, 1, 2), self._vae.device)
        unit = (pixels.float() / 255 * 2 - 1).to(self._vae.dtype)
        moments: Tensor = self._vae.encode(unit).latent_dist.parameters
        return moments


def scale(config: VaeConfig, latents: Tensor) -> Tensor:
    """Return `latents` [4, h, w] of a VAE as its UNet knows them."""
    factor: float = config.scaling_factor
    mean, std = (getattr(config, name, None) for name in ("latents_mean", "latents_std"))
    if mean is None or std is None:
        return latents * factor
    shift, spread = (transfers.upload(torch.tensor(values).view(-1, 1, 1), latents.device) for values in (mean, std))
    return (latents - shift) * factor / spread
