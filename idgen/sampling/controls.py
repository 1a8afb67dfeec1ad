"""ControlNets with ready-made control images, beside any identity."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import ControlNetModel, MultiControlNetModel
from torch import Tensor

from idgen import weights
from idgen.errors import Exit, RunError
from idgen.networks import checkpoints
from idgen.recipes import Control

Nets = Mapping[str, Any]
"""Control's name -> ControlNetModel."""


class PresentControls(MultiControlNetModel):  # type: ignore[misc]  # diffusers carries no types
    """Adds up the nets that count in a step; a net whose scale is 0 in it (outside of its start and end) is not run.

    Stock diffusers runs it and multiplies what comes out by zero.
    """

    def forward(
        self,
        sample: Tensor,
        timestep: Tensor,
        encoder_hidden_states: Tensor,
        controlnet_cond: Sequence[Tensor],
        conditioning_scale: Sequence[float],
        **rest: Any,  # noqa: ANN401
    ) -> tuple[list[Tensor] | None, Tensor | None]:
        """Return the residuals for the UNet's way down and its middle; (None, None) in steps without control."""
        down: list[Tensor] | None = None
        mid: Tensor | None = None
        for net, image, scale in zip(self.nets, controlnet_cond, conditioning_scale, strict=True):
            if scale == 0:
                continue
            more, more_mid = net(sample, timestep, encoder_hidden_states, image, scale, **rest)
            down = list(more) if down is None else [one + other for one, other in zip(down, more, strict=True)]
            mid = more_mid if mid is None else mid + more_mid
        return down, mid


def load(specs: Sequence[Control], dtype: torch.dtype, device: torch.device) -> Nets:
    """Return the recipe's ControlNets by name. Raises RunError when one cannot be read."""
    nets = {spec.name: _load(weights.locate(spec.weights, spec.revision), dtype) for spec in specs}
    return {name: torch.nn.Module.to(net, device) for name, net in nets.items()}  # diffusers' own warns for nothing


def check_fits(nets: Nets, unet: Any) -> None:  # noqa: ANN401
    """Raise RunError when a net was made for another kind of base than `unet`'s."""
    for name, net in nets.items():
        if net.config.cross_attention_dim != unet.config.cross_attention_dim:
            raise RunError(
                Exit.USAGE,
                f"control {name} was made for text {net.config.cross_attention_dim} wide, the base's is "
                f"{unet.config.cross_attention_dim}: SD 1.5 and SDXL need ControlNets of their own",
            )


def _load(folder: Path, dtype: torch.dtype) -> Any:  # noqa: ANN401
    variant = None if weights.weight_files(folder, None) else "fp16"
    try:
        net = ControlNetModel.from_pretrained(folder, dtype=dtype, variant=variant, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise RunError(Exit.USAGE, f"{folder} cannot be loaded as a ControlNet in diffusers layout: {error}") from error
    checkpoints.check_whole(net, folder, "ControlNet")
    net.requires_grad_(False).eval()
    return net
