"""ControlNets beside any identity: IdentityNet, those with ready-made control images, and the one for inpainting."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import torch
from diffusers import ControlNetModel, MultiControlNetModel
from torch import Tensor

from idgen import weights
from idgen.errors import Exit, RunError
from idgen.networks import attention, checkpoints, identity_net
from idgen.networks.identity_net import IdentityNet
from idgen.recipes.recipe import Control
from idgen.sampling.library_messages import quiet
from idgen.sampling.parts import Denoiser
from idgen.weights import control_rules, single_files

IDENTITY, INPAINT = "identity", "inpaint"
"""Names of the controls whose images no column brings."""

Nets = Mapping[str, ControlNetModel]
"""Control's name -> ControlNetModel, or IdentityNet where it looks at the face's tokens."""


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
        **rest: object,
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
    nets = {spec.name: _load(spec, dtype) for spec in specs}
    return {name: torch.nn.Module.to(net, device) for name, net in nets.items()}  # diffusers' own warns for nothing


def check_fits(nets: Nets, unet: Denoiser, contexts: int) -> None:
    """Raise RunError when a net cannot work beside `unet`; `contexts` counts the adapters that give a context."""
    for name, net in nets.items():
        fault = _fault(net, unet, contexts)
        if fault:
            raise RunError(Exit.USAGE, f"control {name} {fault}")


def bind(nets: Nets, used: Collection[str], text: Tensor, context: Tensor | None, identity_scale: Tensor) -> None:
    """Make keys and values of what the `used` nets look at, once for all steps of the batch; the others let go.

    `text` [R, L, D], `context` [R, P, T, D] of faces, `identity_scale` [R]: the strength of the net "identity" alone,
    the scale of others is the pipeline's. Raises RuntimeError when a net needs a context and there is none.
    """
    for name, net in nets.items():
        if name not in used:
            _unbind(net)
        elif not isinstance(net, IdentityNet):
            attention.bind_text(net, text)
        elif context is None:
            raise RuntimeError(f"control {name} reads the face tokens, but no adapter gave any")
        else:
            net.bind(context, identity_scale if name == IDENTITY else torch.ones_like(identity_scale))


def unbind(nets: Nets) -> None:
    """Let go of what the last batch bound."""
    for net in nets.values():
        _unbind(net)


def _unbind(net: ControlNetModel) -> None:
    if isinstance(net, IdentityNet):
        net.unbind()
    else:
        attention.unbind(net)


def _fault(net: ControlNetModel, unet: Denoiser, contexts: int) -> str | None:
    """Return what is wrong with a net, to follow its name."""
    if fault := control_rules.fault(net.config, unet.config):
        return fault
    if net.config.global_pool_conditions:
        return "pools its residuals, which does not work with guidance: use a net that does not pool them"
    if not isinstance(net, IdentityNet):
        return None
    if net.config.addition_embed_type != "text_time":
        return "reads the face tokens but is not an SDXL ControlNet: use InstantID's or EcomID's, or set context: text"
    if contexts != 1:
        return (
            f"reads the face tokens, but {contexts} adapters give some: use exactly one adapter of kind instantid or "
            "ecomid, or leave out the control"
        )
    return None


def _load(spec: Control, dtype: torch.dtype) -> ControlNetModel:
    place = weights.locate(spec.weights, spec.revision)
    variant = None if weights.weight_files(place, None) else "fp16"
    if spec.name == IDENTITY or spec.context == "face":
        config = weights.locate(spec.config) if spec.config else None
        return identity_net.load(_one_file(place, variant), dtype, config=config, variant=variant)
    return _load_plain(place, variant, dtype)


def _one_file(place: Path, variant: str | None) -> Path:
    """Return the file of a folder without settings, whatever its variant; other places as they are."""
    files = weights.weight_files(place, variant) if place.is_dir() else []
    return files[0] if len(files) == 1 and not (place / identity_net.CONFIG_FILE).is_file() else place


def _load_plain(folder: Path, variant: str | None, dtype: torch.dtype) -> ControlNetModel:
    try:
        settings = ControlNetModel.load_config(folder, local_files_only=True)
        if fault := control_rules.kind_fault(settings):
            raise RunError(Exit.USAGE, f"{folder} is {fault}")
        with quiet():
            net, info = ControlNetModel.from_pretrained(
                folder, dtype=dtype, variant=variant, local_files_only=True, output_loading_info=True
            )
    except (OSError, ValueError, KeyError) as error:
        raise RunError(Exit.USAGE, f"{folder} cannot be loaded as a ControlNet in diffusers layout: {error}") from error
    checkpoints.check_whole(net, folder, "ControlNet")
    if fault := control_rules.kind_fault(settings, info["unexpected_keys"]):
        raise RunError(Exit.USAGE, f"{folder} is {fault}")
    single_files.check_expected(info["unexpected_keys"], folder, "the ControlNet", "net")
    net.requires_grad_(False).eval()
    attention.install(net)
    return net
