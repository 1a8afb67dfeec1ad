"""Tiny ControlNets of InstantID and SDXL-EcomID, in their repositories' layouts."""

from pathlib import Path

import torch
from diffusers import ControlNetModel
from safetensors.torch import save_file

from idgen.tiny import extras, sdxl
from idgen.tiny.files import PATHS

ECOMXL = ("control_inpaint", "control_softedge")


def write(folder: Path) -> None:
    """Write IdentityNet as InstantID has it, EcomID's own, and EcomXL's nets for inpainting and soft edges.

    As on the hub, EcomID's is one float32 file at its folder's root without settings; the others are whole folders in
    float16.
    """
    for name in ("identity_net", *ECOMXL):
        extras.write_controlnet(folder / PATHS[name], sdxl.UNET, name)
    _write_without_settings(folder / PATHS["ecomid_net"], extras.controlnet(sdxl.UNET, "ecomid_net"))


def _write_without_settings(folder: Path, net: ControlNetModel) -> None:
    folder.mkdir(parents=True)
    tensors = {name: tensor.to(torch.float32).contiguous() for name, tensor in net.state_dict().items()}
    save_file(tensors, folder / "diffusion_pytorch_model.safetensors")
