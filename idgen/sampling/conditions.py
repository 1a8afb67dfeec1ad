"""Everything the denoiser gets for one batch."""

from dataclasses import dataclass

import torch
from torch import Tensor

from idgen.sampling.rows import ControlUse


@dataclass(frozen=True, kw_only=True, slots=True)
class Conditions:
    """Everything the denoiser gets, B rows; R = 2B with guidance (unconditional rows first), else B."""

    prompt: Tensor
    """[B, L, D]."""
    negative: Tensor | None = None
    """[B, L, D], None without guidance."""
    pooled: Tensor | None = None
    """[B, P], of families that have it."""
    negative_pooled: Tensor | None = None
    tokens: list[Tensor]
    """Per adapter [R, n, T, D], float32."""
    scales: list[Tensor]
    """Per adapter [R, 1, 1], float32."""
    context: Tensor | None = None
    """[R, P, T, D], float32: what IdentityNet looks at; None when no adapter gives it."""
    identity_scale: Tensor
    """[R], float32: IdentityNet's strength."""
    noise: Tensor
    """[B, C, h, w], float32, unit variance, on the CPU."""
    start: Tensor | None = None
    """[B, C, h, w], float32: latents of the start pictures, None when the noise is the start."""
    controls: tuple[ControlUse, ...] = ()
    """Those of the bucket that are not of scale 0 in all rows: the nets that are run."""
    control_images: list[Tensor]
    """Per entry of `controls` [B, 3, H, W], float32, on the CPU: 0..1, and -1 where inpaint repaints."""
    generators: list[torch.Generator]
    """Per row, as they stand after `noise` was drawn."""
    time_ids: Tensor | None = None
    """[R, 6], float32: sizes that the nets are told of; None where each row's are the bucket's."""
