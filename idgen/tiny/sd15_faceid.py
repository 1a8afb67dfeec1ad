"""Tiny IP-Adapter-FaceID weights for the tiny SD1.5, under the hub's file names and keys."""

from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor

from idgen.tiny import sd15
from idgen.tiny.random_weights import draw

NAME = "ip-adapter-faceid_sd15"
TOKENS, EMBEDDING_WIDTH, HIDDEN_WIDTH, LORA_RANK = 4, 512, 128, 8


def write(folder: Path) -> None:
    """Write the adapter (projection, branches, LoRA) and, as on the hub, its LoRA once more in a file of its own."""
    layers = _layers()
    state = {"image_proj": _projection(), "ip_adapter": {key: tensor for key, (_, tensor) in layers.items()}}
    torch.save(state, folder / f"{NAME}.bin")
    separate = {name: tensor for name, tensor in layers.values() if name}
    save_file(separate, folder / f"{NAME}_lora.safetensors")


def _projection() -> dict[str, Tensor]:
    width = sd15.TEXT_WIDTH
    tensors = {
        "proj.0.weight": draw("faceid.proj.0", (HIDDEN_WIDTH, EMBEDDING_WIDTH), 30.0),  # of unit-length embeddings
        "proj.0.bias": draw("faceid.proj.0.bias", (HIDDEN_WIDTH,), 0.1),
        "proj.2.weight": draw("faceid.proj.2", (TOKENS * width, HIDDEN_WIDTH)),
        "proj.2.bias": draw("faceid.proj.2.bias", (TOKENS * width,), 0.1),
        "norm.weight": torch.ones(width),
        "norm.bias": torch.zeros(width),
    }
    return {key: tensor.half() for key, tensor in tensors.items()}


def _layers() -> dict[str, tuple[str, Tensor]]:
    """Return official key -> (key in the separate LoRA file or "", tensor), over all attentions of the UNet."""
    unet = UNet2DConditionModel(**sd15.UNET)
    tensors: dict[str, tuple[str, Tensor]] = {}
    for index, name in enumerate(unet.attn_processors):
        layer = unet.get_submodule(name.removesuffix(".processor"))
        linears = {"to_q": layer.to_q, "to_k": layer.to_k, "to_v": layer.to_v, "to_out": layer.to_out[0]}
        for target, linear in linears.items():
            for half, shape in (("down", (LORA_RANK, linear.in_features)), ("up", (linear.out_features, LORA_RANK))):
                key = f"{target}_lora.{half}.weight"
                tensor = draw(f"faceid.{index}.{key}", shape, 0.3).half()
                tensors[f"{index}.{key}"] = (f"unet.{name}.{key}", tensor)
        if name.endswith("attn2.processor"):
            for part in ("k", "v"):
                key = f"{index}.to_{part}_ip.weight"
                shape = (layer.inner_dim, sd15.TEXT_WIDTH)
                tensors[key] = ("", draw(f"faceid.{key}", shape, 2.0 if part == "v" else 1.0).half())
    return tensors
