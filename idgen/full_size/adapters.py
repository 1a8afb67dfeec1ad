"""The adapters' files and their image encoders at full size.

Shapes are those of idgen's own modules, whose names are the official keys; widths are the published ones. Every file
is in the precision it is published in.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import ControlNetModel
from torch import nn
from transformers import CLIPConfig, CLIPModel, CLIPVisionConfig, CLIPVisionModelWithProjection

from idgen.full_size.bases import CLIP_L, UNETS, unet
from idgen.full_size.files import write_pickle, write_safetensors
from idgen.full_size.tables import Stored, Table, table
from idgen.networks.attention import is_cross, layer
from idgen.networks.eva_clip import EvaConfig, EvaTower, rotations
from idgen.networks.face_parser import FaceParser
from idgen.networks.projections import FaceIdProjection
from idgen.networks.pulid import IdEncoder
from idgen.networks.resampler import FaceIdPlusProjection, FacePerceiver, Resampler

LORA_RANK = 128
TEXT_WIDTH = {"sd15": 768, "sdxl": 2048, "kolors": 2048}
"""Of what branches read."""
CONTROL_SETTINGS = (
    "block_out_channels", "cross_attention_dim", "attention_head_dim", "transformer_layers_per_block",
    "use_linear_projection", "addition_embed_type", "addition_time_embed_dim", "projection_class_embeddings_input_dim",
    "down_block_types",
)  # fmt: skip
"""Of the UNet that a ControlNet shares."""
VIT_H: dict[str, Any] = {
    "hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 16,
    "projection_dim": 1024, "image_size": 224, "patch_size": 14, "hidden_act": "gelu",
}  # fmt: skip
VIT_L_336: dict[str, Any] = {
    "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16,
    "projection_dim": 768, "image_size": 336, "patch_size": 14, "hidden_act": "quick_gelu",
}  # fmt: skip
EVA_TEXT_LAYERS, EVA_TEXT_WIDTH = 12, 768


def write_faceid_plusv2_sd15(path: Path, fill: bool) -> None:
    """Write ip-adapter-faceid-plusv2_sd15.bin, float16."""
    projection = _meta(lambda: FaceIdPlusProjection(512, 1024, 4, 768, FacePerceiver(1280, 768, 768, 768, 4)))
    _write_parts(path, projection, "sd15", torch.float16, fill, lora=True)


def write_faceid_sdxl(path: Path, fill: bool) -> None:
    """Write ip-adapter-faceid_sdxl.bin, float16."""
    projection = _meta(lambda: FaceIdProjection(512, 1024, 4, 2048))
    _write_parts(path, projection, "sdxl", torch.float16, fill, lora=True)


def write_kolors_faceid_plus(path: Path, fill: bool) -> None:
    """Write ipa-faceid-plus.bin, float16."""
    projection = _meta(lambda: FaceIdPlusProjection(512, 1024, 6, 4096, FacePerceiver(1024, 4096, 4096, 4096, 4)))
    _write_parts(path, projection, "kolors", torch.float16, fill, name="adapter_modules")


def write_instantid(path: Path, fill: bool) -> None:
    """Write InstantID's ip-adapter.bin, float32."""
    resampler = _meta(lambda: Resampler(512, 1280, 1280, 2048, 4, tokens=16))
    _write_parts(path, resampler, "sdxl", torch.float32, fill)


def write_pulid_v1(path: Path, fill: bool) -> None:
    """Write PuLID v1 under IP-Adapter's names, float16."""
    encoder = _meta(lambda: IdEncoder(1280, 1024, 1024, 1024, 2048))
    tensors = table(encoder, torch.float16, "image_proj.")
    tensors |= {f"ip_adapter.{name}": one for name, one in _layers("sdxl", torch.float16, lora=False).items()}
    write_safetensors(path, tensors, fill=fill)


def write_identity_net(folder: Path, fill: bool) -> None:
    """Write InstantID's ControlNetModel, or another SDXL net in diffusers' layout, float16."""
    net = _control_net()
    net.save_config(folder)
    write_safetensors(folder / "diffusion_pytorch_model.safetensors", table(net, torch.float16), fill=fill)


def write_ecomid_net(folder: Path, fill: bool) -> None:
    """Write SDXL-EcomID's one file without settings, float32."""
    path = folder / "diffusion_pytorch_model.safetensors"
    write_safetensors(path, table(_control_net(), torch.float32), fill=fill)


def write_clip_vit_h(folder: Path, fill: bool) -> None:
    """Write IP-Adapter's image encoder, float32."""
    config = CLIPVisionConfig(**VIT_H)
    encoder = _meta(lambda: CLIPVisionModelWithProjection(config))
    config.save_pretrained(folder)
    write_safetensors(folder / "model.safetensors", table(encoder, torch.float32), fill=fill)


def write_clip_vit_l_336(folder: Path, fill: bool) -> None:
    """Write the whole CLIP that Kolors' FaceID-Plus brings, a float32 pickle of both halves."""
    config = CLIPConfig(text_config=CLIP_L, vision_config=VIT_L_336, projection_dim=768)
    whole = _meta(lambda: CLIPModel(config))
    config.save_pretrained(folder)
    write_pickle(folder / "pytorch_model.bin", table(whole, torch.float32), fill=fill)


def write_eva_clip(path: Path, fill: bool) -> None:
    """Write the whole EVA02-CLIP, float16: the tower, with the buffers it is published with, and the text half."""
    config = EvaConfig()
    tensors: dict[str, Stored] = table(_meta(lambda: EvaTower(config)), torch.float16, "visual.")
    cos, _ = rotations(config)
    for place in ("", *(f"blocks.{number}.attn." for number in range(config.layers))):
        for part in ("cos", "sin"):
            tensors[f"visual.{place}rope.freqs_{part}"] = Stored(tuple(cos.shape), torch.float16)
    write_pickle(path, tensors | _eva_text(), fill=fill)
    vision = {
        "image_size": config.side_px, "layers": config.layers, "width": config.width, "drop_path_rate": 0,
        "head_width": config.head_width, "mlp_ratio": 2.6667, "patch_size": config.patch_px,
        "eva_model_name": "eva-clip-l-14-336", "xattn": True, "fusedLN": True, "rope": True,
        "pt_hw_seq_len": config.trained_grid, "intp_freq": True, "naiveswiglu": True, "subln": True,
    }  # fmt: skip
    settings = {"embed_dim": config.pooled_width, "vision_cfg": vision}
    path.with_name("config.json").write_text(json.dumps(settings, indent=1))


def write_face_parser(path: Path, fill: bool) -> None:
    """Write facexlib's parsing_bisenet.pth, float32."""
    write_pickle(path, table(_meta(FaceParser), torch.float32), fill=fill)


def _write_parts(
    path: Path,
    projection: nn.Module,
    family: str,
    dtype: torch.dtype,
    fill: bool,
    *,
    lora: bool = False,
    name: str = "ip_adapter",
) -> None:
    """Write a pickle of `image_proj` and of what belongs to the layers, called `name`."""
    tables = {"image_proj": table(projection, dtype), name: _layers(family, dtype, lora=lora)}
    write_pickle(path, tables, fill=fill)


def _layers(family: str, dtype: torch.dtype, *, lora: bool) -> Table:
    """Return branches, and the LoRA, of every attention in the official order."""
    net, shapes = unet(family), {}
    for index, name in enumerate(net.attn_processors):
        one = layer(net, name)
        if lora:
            linears = {"to_q": one.to_q, "to_k": one.to_k, "to_v": one.to_v, "to_out": one.to_out[0]}
            for target, linear in linears.items():
                shapes[f"{index}.{target}_lora.down.weight"] = (LORA_RANK, linear.in_features)
                shapes[f"{index}.{target}_lora.up.weight"] = (linear.out_features, LORA_RANK)
        if is_cross(name):
            shapes |= {f"{index}.to_{part}_ip.weight": (one.inner_dim, TEXT_WIDTH[family]) for part in "kv"}
    return {key: Stored(shape, dtype) for key, shape in shapes.items()}


def _control_net() -> ControlNetModel:
    settings = {name: value for name, value in UNETS["sdxl"].items() if name in CONTROL_SETTINGS}
    net: ControlNetModel = _meta(lambda: ControlNetModel(**settings))
    return net


def _eva_text() -> dict[str, Stored]:
    """Return the text half's tensors, which nothing here reads, under open_clip's names."""
    width = EVA_TEXT_WIDTH
    shapes: dict[str, tuple[int, ...]] = {
        "token_embedding.weight": (49408, width), "positional_embedding": (77, width), "ln_final.weight": (width,),
        "ln_final.bias": (width,), "text_projection": (width, width),
    }  # fmt: skip
    for number in range(EVA_TEXT_LAYERS):
        inside: dict[str, tuple[int, ...]] = {
            "attn.in_proj_weight": (3 * width, width), "attn.in_proj_bias": (3 * width,),
            "attn.out_proj.weight": (width, width), "attn.out_proj.bias": (width,),
            "mlp.c_fc.weight": (4 * width, width), "mlp.c_fc.bias": (4 * width,),
            "mlp.c_proj.weight": (width, 4 * width), "mlp.c_proj.bias": (width,),
        }  # fmt: skip
        inside |= {f"ln_{one}.{part}": (width,) for one in (1, 2) for part in ("weight", "bias")}
        shapes |= {f"transformer.resblocks.{number}.{name}": shape for name, shape in inside.items()}
    half = torch.float16
    return {f"text.{name}": Stored(shape, half) for name, shape in shapes.items()} | {"logit_scale": Stored((), half)}


def _meta(make: Callable[[], Any]) -> Any:  # noqa: ANN401
    """Return a module without its bytes."""
    with torch.device("meta"):
        return make()
