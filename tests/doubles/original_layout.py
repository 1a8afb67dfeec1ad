"""Writes a base from diffusers layout as one .safetensors file in the original layout, as such files are shared.

The names are those of the original code's modules; diffusers maps them back.
"""

import re
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

UNET_PLAIN = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "mid_block.resnets.0": "middle_block.0",
    "mid_block.attentions.0": "middle_block.1",
    "mid_block.resnets.1": "middle_block.2",
}
UNET_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
VAE_PLAIN = {
    "mid_block.resnets.0": "mid.block_1",
    "mid_block.resnets.1": "mid.block_2",
    "mid_block.attentions.0": "mid.attn_1",
    "conv_norm_out": "norm_out",
    "conv_shortcut": "nin_shortcut",
    "group_norm": "norm",
    "to_q": "q",
    "to_k": "k",
    "to_v": "v",
    "to_out.0": "proj_out",
    "downsamplers.0": "downsample",
    "upsamplers.0": "upsample",
    "resnets": "block",
}
OPEN_CLIP = {
    "text_model.encoder.layers.": "transformer.resblocks.",
    "text_model.final_layer_norm": "ln_final",
    "text_model.embeddings.token_embedding": "token_embedding",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "fc1": "c_fc",
    "fc2": "c_proj",
    "self_attn": "attn",
}


def write(folder: Path, file: Path) -> Path:
    """Write the base in `folder` to `file` and return it; SDXL when it has a second text encoder."""
    whole = {f"model.diffusion_model.{name}": tensor for name, tensor in unet(weights(folder / "unet")).items()}
    whole |= {f"first_stage_model.{name}": tensor for name, tensor in vae(weights(folder / "vae")).items()}
    xl = (folder / "text_encoder_2").is_dir()
    first = "conditioner.embedders.0.transformer." if xl else "cond_stage_model.transformer."
    whole |= {first + name: tensor for name, tensor in clip(weights(folder / "text_encoder")).items()}
    if xl:
        second = open_clip(clip(weights(folder / "text_encoder_2")))
        whole |= {f"conditioner.embedders.1.model.{name}": tensor for name, tensor in second.items()}
    whole["alphas_cumprod"] = torch.linspace(1, 0, 1000)  # such files carry the training's leftovers
    save_file({name: tensor.contiguous() for name, tensor in whole.items()}, file)
    return file


def weights(folder: Path) -> dict[str, Tensor]:
    """Return a component's tensors."""
    (path,) = folder.glob("*.safetensors")
    return load_file(path)


def unet(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a UNet's tensors by their original names."""
    attentive = {name.split(".")[1] for name in tensors if re.match(r"up_blocks\.\d\.attentions", name)}
    return {unet_name(name, attentive): tensor for name, tensor in tensors.items()}


def unet_name(name: str, attentive: set[str]) -> str:
    """Return one original name, of blocks with 2 resnets; `attentive` are the up blocks that have attention.

    The upsampler stands behind the resnet and, where there is one, the attention.
    """
    if block := re.fullmatch(r"(down|up)_blocks\.(\d)\.(\w+)\.(\d)\.(.+)", name):
        side, number, kind, layer, rest = block[1], int(block[2]), block[3], int(block[4]), block[5]
        if kind == "downsamplers":
            return f"input_blocks.{3 * number + 3}.0.{rest.replace('conv', 'op')}"
        if kind == "upsamplers":
            return f"output_blocks.{3 * number + 2}.{2 if block[2] in attentive else 1}.{rest}"
        at = f"input_blocks.{3 * number + layer + 1}" if side == "down" else f"output_blocks.{3 * number + layer}"
        return f"{at}.0.{_replaced(rest, UNET_RESNET)}" if kind == "resnets" else f"{at}.1.{rest}"
    for plain, original in UNET_PLAIN.items():
        if name.startswith(f"{plain}."):
            rest = name.removeprefix(f"{plain}.")
            return f"{original}.{_replaced(rest, UNET_RESNET) if 'resnets' in plain else rest}"
    raise KeyError(name)


def vae(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a VAE's tensors by their original names; its attention's matrices are 1x1 convolutions there."""
    original = {}
    for name, tensor in tensors.items():
        new = re.sub(r"down_blocks\.(\d)", r"down.\1", name)
        new = re.sub(r"up_blocks\.(\d)", lambda match: f"up.{3 - int(match[1])}", new)
        new = _replaced(new, VAE_PLAIN)
        matrix = "attentions" in name and tensor.ndim == 2
        original[new] = tensor[..., None, None] if matrix else tensor
    return original


def clip(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a text encoder's tensors as transformers has always named them."""
    return {name if name.startswith("text_") else f"text_model.{name}": tensor for name, tensor in tensors.items()}


def open_clip(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the second text encoder's tensors by the original names: query, key and value in one matrix."""
    original = {}
    for name, tensor in tensors.items():
        new = _replaced(name, OPEN_CLIP)
        if name == "text_projection.weight":
            original["text_projection"] = tensor.T
        elif "q_proj" in name:
            joined = torch.cat([tensors[name.replace("q_proj", f"{x}_proj")] for x in "qkv"])
            original[new.replace(".q_proj.", ".in_proj_")] = joined
        elif not re.search(r"[kv]_proj", name):
            original[new] = tensor
    return original


def _replaced(name: str, table: dict[str, str]) -> str:
    for plain, original in table.items():
        name = re.sub(rf"(^|(?<=\.)){re.escape(plain)}" + ("" if plain.endswith(".") else r"(?=\.|$)"), original, name)
    return name
