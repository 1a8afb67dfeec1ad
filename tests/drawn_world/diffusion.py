"""Noise, targets and the weights of the loss: velocities over scaled-linear betas, as the exported schedulers say."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

STEPS = 1000
FLOOR = 0.4
"""Of the loss's weight: min-SNR alone leaves the noisiest steps, where prompt and person decide, nearly unlearnt."""
SNR_CAP = 5.0
FACE_WEIGHT = 2.2
SCHEDULER: dict[str, Any] = {
    "num_train_timesteps": STEPS,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
    "timestep_spacing": "trailing",
    "steps_offset": 1,
}
"""Settings of every base's scheduler_config.json."""


@dataclass(frozen=True, slots=True)
class Noisy:
    """A batch of latents on its way; alpha and sigma are [B, 1, 1, 1]."""

    latents: Tensor
    target: Tensor
    timesteps: Tensor  # [B] long
    alpha: Tensor
    sigma: Tensor

    def clean(self, velocity: Tensor) -> Tensor:
        """Return the picture that a predicted velocity speaks of."""
        return self.alpha * self.latents - self.sigma * velocity

    def weights(self) -> Tensor:
        """Return each row's weight [B] in the squared error."""
        ratio = (self.alpha / self.sigma).square().flatten()
        return (ratio.clamp(max=SNR_CAP) / (ratio + 1)).clamp(min=FLOOR)


def alphas() -> Tensor:
    """Return the share of the picture's variance at each timestep [1000]."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, STEPS, dtype=torch.float64) ** 2
    return (1 - betas).cumprod(0).float()


def add_noise(latents: Tensor, generator: torch.Generator, timesteps: Tensor | None = None) -> Noisy:
    """Return `latents` with noise of timesteps that are spread over the batch, or of those given."""
    count = len(latents)
    if timesteps is None:
        spread = (torch.arange(count) + torch.rand(count, generator=generator)) / count
        timesteps = (spread * STEPS).long().clamp(0, STEPS - 1)
    noise = torch.randn(latents.shape, generator=generator).to(latents.device)
    share = alphas()[timesteps].to(latents.device)[:, None, None, None]
    alpha, sigma = share.sqrt(), (1 - share).sqrt()
    return Noisy(
        alpha * latents + sigma * noise, alpha * noise - sigma * latents, timesteps.to(latents.device), alpha, sigma
    )


def error(noisy: Noisy, velocity: Tensor, faces: Tensor) -> Tensor:
    """Return each row's weighted squared error [B]; `faces` [B, 1, h, h] says where it counts more."""
    where = 1 + (FACE_WEIGHT - 1) * faces
    rows = ((velocity.float() - noisy.target) ** 2 * where).mean((1, 2, 3)) / where.mean((1, 2, 3))
    return rows * noisy.weights()
