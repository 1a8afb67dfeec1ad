"""Tiny ControlNets of InstantID and SDXL-EcomID, in their repositories' layouts."""

from pathlib import Path

import torch
from diffusers import ControlNetModel
from safetensors.torch import save_file

from idgen.tiny import extras, sdxl
from idgen.tiny.files import PATHS

ECOMXL = ("control_inpaint", "control_softedge")
POINTS_GAIN = 3.0
"""Of the layers that look at the five points."""
LARGEST_GAIN, DEEP_GAIN = 0.2, 0.02
"""Of the layers that speak to the UNet at its largest size, where a point has a place, and below."""
OWN_SAMPLE = 0.1
"""Share of the net's own look at the noise."""


def write(folder: Path) -> None:
    """Write IdentityNet as InstantID has it, EcomID's own, and EcomXL's nets for inpainting and soft edges.

    As on the hub, EcomID's is one float32 file at its folder's root without settings; the others are whole folders in
    float16.
    """
    for name in ECOMXL:
        extras.write_controlnet(folder / PATHS[name], sdxl.UNET, name)
    _identity_net("identity_net").save_pretrained(folder / PATHS["identity_net"], safe_serialization=True)
    _write_without_settings(folder / PATHS["ecomid_net"], _identity_net("ecomid_net"))


def _identity_net(name: str) -> ControlNetModel:
    """Return a net whose points show where they are: black says nothing, and of the rest the largest layer most."""
    net = extras.controlnet(sdxl.UNET, name, _gain)
    with torch.no_grad():
        net.conv_in.weight *= OWN_SAMPLE
        for key, parameter in net.named_parameters():
            if key == "conv_in.bias" or (key.startswith("controlnet_cond_embedding") and key.endswith("bias")):
                parameter.zero_()
    return net


def _gain(name: str) -> float:
    if name.startswith("controlnet_cond_embedding"):
        return POINTS_GAIN
    if name.startswith("controlnet_down_blocks.0."):
        return LARGEST_GAIN
    return DEEP_GAIN if name.startswith(("controlnet_down", "controlnet_mid")) else 1.0


def _write_without_settings(folder: Path, net: ControlNetModel) -> None:
    folder.mkdir(parents=True)
    tensors = {name: tensor.to(torch.float32).contiguous() for name, tensor in net.state_dict().items()}
    save_file(tensors, folder / "diffusion_pytorch_model.safetensors")
