"""IdentityNet: a ControlNet that is shown a face's five points and looks at the face's tokens instead of the prompt.

InstantID's and SDXL-EcomID's are diffusers' own SDXL ControlNet (instantX-research/InstantID,
pipeline_stable_diffusion_xl_instantid.py): only what its cross-attention reads differs. It goes wherever a
ControlNetModel goes: alone, or as a net of idgen.sampling.controls.PresentControls. Any other SDXL ControlNet loaded as
an IdentityNet looks at the face's tokens too, which is what ComfyUI does with nets that follow EcomID's.

    net = identity_net.load(folder, dtype)                        # InstantID's ControlNetModel/
    net = identity_net.load(folder, dtype, config=instantid)      # SDXL-EcomID's one file; settings from InstantID's
    net.bind(torch.stack([*uncond, *cond]), scale)                # once per batch, rows in the pipeline's order
    pipeline(image=keypoints, controlnet_conditioning_scale=1.0)  # the pipeline's scale only says in which steps
"""

from pathlib import Path

import torch
from diffusers import ControlNetModel
from diffusers.models.controlnets.controlnet import ControlNetOutput
from torch import Tensor

from idgen.errors import Exit, RunError
from idgen.networks import attention, checkpoints
from idgen.networks.projections import check_keys
from idgen.weights import single_files

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "diffusion_pytorch_model.safetensors"


class IdentityNet(ControlNetModel):  # type: ignore[misc]  # diffusers carries no types
    """A ControlNet with its own bound context and a strength per row; the `encoder_hidden_states` given are not read.

    `from_pretrained` and `from_single_file` work as on ControlNetModel. Attributes of the class, not of a constructor,
    hold what is bound: diffusers reads a model's settings from its constructor's arguments.
    """

    context: Tensor | None = None
    """[R, P*T, D]."""
    scale: Tensor | None = None
    """[R, 1, 1, 1]."""

    def bind(self, context: Tensor, scale: Tensor) -> None:
        """Keep `context` [R, P, T, D] (P people, whose T tokens stand in one softmax) and `scale`, R numbers.

        R counts the rows the UNet is run with: all unconditional ones, then all conditional ones. A row of scale 0 gets
        residuals of 0. Keys and values of the context are made here, once for all steps, where `load` made the net.
        Raises RuntimeError when the context is not as wide as what the net reads.
        """
        width = self.config.cross_attention_dim
        if context.shape[-1] != width:
            raise RuntimeError(f"IdentityNet reads a context {width} wide, but was given one {context.shape[-1]} wide")
        self.context = context.flatten(1, 2).to(self.device, self.dtype)
        self.scale = scale.reshape(-1, 1, 1, 1).to(self.device, self.dtype)
        attention.bind_text(self, self.context)

    def unbind(self) -> None:
        """Let go of the batch's tensors."""
        self.context = self.scale = None
        attention.unbind(self)

    def forward(
        self,
        sample: Tensor,
        timestep: Tensor,
        encoder_hidden_states: Tensor | None,
        controlnet_cond: Tensor,
        conditioning_scale: float = 1.0,
        guess_mode: bool = False,
        return_dict: bool = True,
        **rest: object,
    ) -> ControlNetOutput | tuple[list[Tensor] | None, Tensor | None]:
        """Return the residuals of ControlNetModel.forward, each row's times its scale times `conditioning_scale`.

        Where that is 0, outside of the control's start and end, nothing is computed: (None, None), which the UNet takes
        for no ControlNet.
        """
        if conditioning_scale == 0:
            return ControlNetOutput(None, None) if return_dict else (None, None)
        if self.context is None or self.scale is None:
            raise RuntimeError("IdentityNet.bind must run before the pipeline does")
        if guess_mode or not len(sample) == len(self.context) == len(self.scale):
            # diffusers' attention silently splits rows differently when their number differs
            raise RuntimeError(
                f"IdentityNet is bound to {len(self.context)} rows with {len(self.scale)} scales and was given "
                f"{len(sample)}; guess mode, which leaves rows out, is not supported"
            )
        return super().forward(
            sample,
            timestep,
            self.context,
            controlnet_cond,
            conditioning_scale * self.scale,
            return_dict=return_dict,
            **rest,
        )


def load(weights: Path, dtype: torch.dtype, *, config: Path | None = None, variant: str | None = None) -> IdentityNet:
    """Return the net of `weights`, frozen, on the CPU: a folder in diffusers layout, or one file.

    SDXL-EcomID is one file at a folder's root without settings: `config` is a folder whose config.json has them
    (InstantID's ControlNetModel/). `variant` is diffusers' ("fp16") of a folder in its layout. Nothing is downloaded.
    Raises RunError(USAGE) when something is missing, unknown or does not fit.
    """
    whole = (weights / CONFIG_FILE).is_file()
    try:
        net = _from_folder(weights, dtype, variant) if whole else _from_file(weights, dtype, config)
    except (OSError, ValueError, KeyError) as error:
        raise RunError(Exit.USAGE, f"{weights} cannot be loaded as an SDXL ControlNet: {error}") from error
    checkpoints.check_whole(net, weights, "net")
    net.requires_grad_(False).eval()
    attention.install(net)
    return net


def _from_folder(folder: Path, dtype: torch.dtype, variant: str | None) -> IdentityNet:
    net: IdentityNet
    net, info = IdentityNet.from_pretrained(
        folder, dtype=dtype, variant=variant, local_files_only=True, output_loading_info=True
    )
    single_files.check_expected(info["unexpected_keys"], folder, "the net", "net")
    return net


def _from_file(weights: Path, dtype: torch.dtype, config: Path | None) -> IdentityNet:
    if config is None or not (config / CONFIG_FILE).is_file():
        raise RunError(
            Exit.USAGE,
            f"{weights} has no {CONFIG_FILE}: also give, as `config`, a folder with the config of an SDXL "
            "ControlNet, such as InstantX/InstantID:ControlNetModel",
        )
    tensors = checkpoints.read(weights / WEIGHTS_FILE if weights.is_dir() else weights)
    with torch.device("meta"):
        shape = IdentityNet.from_config(IdentityNet.load_config(config, local_files_only=True))
    remedy = "give an SDXL ControlNet in diffusers' layout, or convert this one to it"
    check_keys(tensors, set(shape.state_dict()), str(weights), "the ControlNet", remedy)
    net = IdentityNet.from_single_file(tensors, config=str(config), local_files_only=True)
    cast_net: IdentityNet = torch.nn.Module.to(net, dtype=dtype)  # diffusers' own warns for nothing
    return cast_net
