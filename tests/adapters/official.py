"""The published IP-Adapter files as tables: keys, shapes and sizes, written out from the authors' code and file lists.

Independent of idgen's modules on purpose: nothing here is read from them.
"""

from dataclasses import dataclass
from typing import Any

import torch
from diffusers import UNet2DConditionModel

Shapes = dict[str, tuple[int, ...]]

UNETS: dict[str, dict[str, Any]] = {
    "sd15": {
        "cross_attention_dim": 768,
        "attention_head_dim": 8,
        "block_out_channels": (320, 640, 1280, 1280),
    },
    "sdxl": {
        "cross_attention_dim": 2048,
        "attention_head_dim": (5, 10, 20),
        "block_out_channels": (320, 640, 1280),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "transformer_layers_per_block": (1, 2, 10),
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
        "use_linear_projection": True,
    },
}
UNETS["kolors"] = UNETS["sdxl"] | {
    "encoder_hid_dim": 4096,
    "encoder_hid_dim_type": "text_proj",
    "projection_class_embeddings_input_dim": 5632,
}
"""Settings of stable-diffusion-v1-5's, stable-diffusion-xl-base-1.0's and Kolors' UNet."""

TEXT_WIDTH = {"sd15": 768, "sdxl": 2048, "kolors": 2048}
"""Of what branches read."""
ATTENTION_WIDTHS = {
    "sd15": [320] * 4 + [640] * 4 + [1280] * 4 + [1280] * 6 + [640] * 6 + [320] * 6 + [1280] * 2,
    "sdxl": [640] * 8 + [1280] * 40 + [1280] * 60 + [640] * 12 + [1280] * 20,
}
ATTENTION_WIDTHS["kolors"] = ATTENTION_WIDTHS["sdxl"]
"""Of all attentions in the files' order: down, up, mid; even ones are self-attention."""

ENCODERS: dict[str, dict[str, Any]] = {
    "vit_h": {"hidden_size": 1280, "num_hidden_layers": 32, "num_attention_heads": 16, "projection_dim": 1024},
    "bigg": {"hidden_size": 1664, "num_hidden_layers": 48, "num_attention_heads": 16, "projection_dim": 1280},
    "vit_l_336": {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "projection_dim": 768},
}
PICTURE_PX = {"vit_h": 224, "bigg": 224, "vit_l_336": 336}
LORA_RANK = 128


@dataclass(frozen=True)
class Official:
    """One published file."""

    file: str
    kind: str
    family: str
    encoder: str
    tokens: int
    megabytes: float
    """Of the file in float16, 10^6 bytes, as published."""
    projection_tensors: int
    adapter_tensors: int

    @property
    def token_width(self) -> int:
        """Of what image_proj makes; Kolors' FaceID-Plus's goes through the UNet's projection of text."""
        return 4096 if self.kind == "kolors_faceid_plus" else TEXT_WIDTH[self.family]

    def projection(self) -> Shapes:
        """Key -> shape of image_proj."""
        width = self.token_width
        match self.kind:
            case "kolors_faceid_plus":
                return kolors_faceid_plus()
            case "kolors_ip_adapter_plus":
                return {"latents": (1, 16, 2048), **perceiver(1024, 2048, 2048, inner=12 * 64)}
            case "ip_adapter":
                seen = ENCODERS[self.encoder]["projection_dim"]
                return {"proj.weight": (4 * width, seen), "proj.bias": (4 * width,), **norm("norm", width)}
            case "ip_adapter_plus" | "ip_adapter_plus_face":
                inside = {"sd15": 768, "sdxl": 1280}[self.family]
                return {"latents": (1, 16, inside), **perceiver(1280, inside, width)}
            case "ip_adapter_full_face":
                return {**linear("proj.0", 1280, 1280), **linear("proj.2", 768, 1280), **norm("proj.3", 768)}
            case "faceid_portrait_unnorm":
                return {"latents": (1, 16, 1280), **perceiver(512, 1280, 2048)}
        shapes = {**linear("proj.0", 1024, 512), **linear("proj.2", self.tokens * width, 1024), **norm("norm", width)}
        if self.kind in ("faceid_plus", "faceid_plusv2"):
            shapes |= {f"perceiver_resampler.{key}": shape for key, shape in perceiver(1280, width, width).items()}
        return shapes

    def adapter(self) -> Shapes:
        """Key -> shape of ip_adapter."""
        text, shapes = TEXT_WIDTH[self.family], {}
        for number, width in enumerate(ATTENTION_WIDTHS[self.family]):
            cross = number % 2 == 1
            if cross:
                shapes |= {f"{number}.to_{part}_ip.weight": (width, text) for part in "kv"}
            if self.kind in ("faceid", "faceid_plus", "faceid_plusv2"):
                for target in ("q", "k", "v", "out"):
                    reads = text if cross and target in "kv" else width
                    shapes[f"{number}.to_{target}_lora.down.weight"] = (LORA_RANK, reads)
                    shapes[f"{number}.to_{target}_lora.up.weight"] = (width, LORA_RANK)
        return shapes

    def on_meta(self) -> dict[str, torch.Tensor]:
        """The whole file without its bytes."""
        table = "adapter_modules" if self.kind == "kolors_faceid_plus" else "ip_adapter"
        parts = {"image_proj": self.projection(), table: self.adapter()}
        return {
            f"{part}.{key}": torch.empty(shape, dtype=torch.float16, device="meta")
            for part, shapes in parts.items()
            for key, shape in shapes.items()
        }


FILES = [
    Official("ip-adapter_sd15", "ip_adapter", "sd15", "vit_h", 4, 44.6, 4, 32),
    Official("ip-adapter_sd15_light", "ip_adapter", "sd15", "vit_h", 4, 44.6, 4, 32),
    Official("ip-adapter_sd15_vit-G", "ip_adapter", "sd15", "bigg", 4, 46.2, 4, 32),
    Official("ip-adapter_sdxl", "ip_adapter", "sdxl", "bigg", 4, 702.6, 4, 140),
    Official("ip-adapter_sdxl_vit-h", "ip_adapter", "sdxl", "vit_h", 4, 698.4, 4, 140),
    Official("ip-adapter-plus_sd15", "ip_adapter_plus", "sd15", "vit_h", 16, 98.2, 51, 32),
    Official("ip-adapter-plus-face_sd15", "ip_adapter_plus_face", "sd15", "vit_h", 16, 98.2, 51, 32),
    Official("ip-adapter-plus_sdxl_vit-h", "ip_adapter_plus", "sdxl", "vit_h", 16, 847.5, 51, 140),
    Official("ip-adapter-plus-face_sdxl_vit-h", "ip_adapter_plus_face", "sdxl", "vit_h", 16, 847.5, 51, 140),
    Official("ip-adapter-full-face_sd15", "ip_adapter_full_face", "sd15", "vit_h", 257, 43.6, 6, 32),
    Official("ip-adapter-faceid_sd15", "faceid", "sd15", "", 4, 96.7, 6, 288),
    Official("ip-adapter-faceid_sdxl", "faceid", "sdxl", "", 4, 1071, 6, 1260),
    Official("ip-adapter-faceid-plus_sd15", "faceid_plus", "sd15", "vit_h", 4, 156.6, 56, 288),
    Official("ip-adapter-faceid-plusv2_sd15", "faceid_plusv2", "sd15", "vit_h", 4, 156.6, 56, 288),
    Official("ip-adapter-faceid-plusv2_sdxl", "faceid_plusv2", "sdxl", "vit_h", 4, 1487.6, 56, 1260),
    Official("ip-adapter-faceid-portrait_sd15", "faceid_portrait", "sd15", "", 16, 64.6, 6, 32),
    Official("ip-adapter-faceid-portrait_sdxl", "faceid_portrait", "sdxl", "", 16, 749.8, 6, 140),
    Official("ip-adapter-faceid-portrait_sdxl_unnorm", "faceid_portrait_unnorm", "sdxl", "", 16, 0, 51, 140),
    Official("ipa-faceid-plus", "kolors_faceid_plus", "kolors", "vit_l_336", 6, 2385.8, 56, 140),
    Official("ip_adapter_plus_general", "kolors_ip_adapter_plus", "kolors", "vit_l_336", 16, 1013.2, 51, 140),
]
"""The published unnorm file holds its projection twice or in float32, so its size says nothing. Kolors' two are
published as 2.39 and 1.01 GB; the megabytes here follow from the parameters their authors' modules have."""


def unet(family: str) -> UNet2DConditionModel:
    """The base's UNet at full size, without its bytes."""
    with torch.device("meta"):
        return UNet2DConditionModel(**UNETS[family])


def linear(name: str, out: int, seen: int) -> Shapes:
    """A layer with bias."""
    return {f"{name}.weight": (out, seen), f"{name}.bias": (out,)}


def norm(name: str, width: int) -> Shapes:
    """A LayerNorm."""
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def kolors_faceid_plus() -> Shapes:
    """image_proj of ipa-faceid-plus.bin: 64 heads of 64 in tokens that are 4096 wide."""
    shapes: Shapes = {
        "proj.0.weight": (1024, 512),
        "proj.0.bias": (1024,),
        "proj.2.weight": (24576, 1024),
        "proj.2.bias": (24576,),
        "norm.weight": (4096,),
        "norm.bias": (4096,),
    }
    inside: Shapes = {
        "proj_in.weight": (4096, 1024),
        "proj_in.bias": (4096,),
        "proj_out.weight": (4096, 4096),
        "proj_out.bias": (4096,),
        "norm_out.weight": (4096,),
        "norm_out.bias": (4096,),
    }
    for number in range(4):
        layer: Shapes = {
            "0.norm1.weight": (4096,),
            "0.norm1.bias": (4096,),
            "0.norm2.weight": (4096,),
            "0.norm2.bias": (4096,),
            "0.to_q.weight": (4096, 4096),
            "0.to_kv.weight": (8192, 4096),
            "0.to_out.weight": (4096, 4096),
            "1.0.weight": (4096,),
            "1.0.bias": (4096,),
            "1.1.weight": (16384, 4096),
            "1.3.weight": (4096, 16384),
        }
        inside |= {f"layers.{number}.{key}": shape for key, shape in layer.items()}
    return shapes | {f"perceiver_resampler.{key}": shape for key, shape in inside.items()}


def perceiver(seen: int, width: int, out: int, inner: int = 0) -> Shapes:
    """Four layers; as many heads of 64 as fill the width, or `inner`."""
    inner = inner or width
    shapes = {**linear("proj_in", width, seen), **linear("proj_out", out, width), **norm("norm_out", out)}
    for number in range(4):
        attention, feed = f"layers.{number}.0", f"layers.{number}.1"
        shapes |= {**norm(f"{attention}.norm1", width), **norm(f"{attention}.norm2", width), **norm(f"{feed}.0", width)}
        shapes |= {f"{attention}.to_q.weight": (inner, width), f"{attention}.to_kv.weight": (2 * inner, width)}
        shapes |= {f"{attention}.to_out.weight": (width, inner)}
        shapes |= {f"{feed}.1.weight": (4 * width, width), f"{feed}.3.weight": (width, 4 * width)}
    return shapes
