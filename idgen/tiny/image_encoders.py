"""Tiny CLIP image encoders in the official layout: 224 pixels in patches of 14, so 257 tokens, or 336 and 577.

Only the widths and depths are small.
"""

import json
from pathlib import Path
from typing import Any

import torch
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from idgen.tiny.random_weights import fill

COMMON: dict[str, Any] = {"image_size": 224, "patch_size": 14, "hidden_act": "gelu", "num_attention_heads": 4}
ENCODERS: dict[str, dict[str, Any]] = {
    "clip_vit_h": {"hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 3, "projection_dim": 32, **COMMON},
    "clip_vit_bigg": {
        "hidden_size": 80,
        "intermediate_size": 96,
        "num_hidden_layers": 4,
        "projection_dim": 40,
        **COMMON,
    },
    "clip_vit_l_336": {
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 3,
        "projection_dim": 24,
        **COMMON,
        "image_size": 336,
        "hidden_act": "quick_gelu",
    },
}
"""The real ones are 1280, 1664 and 1024 wide, 32, 48 and 24 layers deep, and project to 1024, 1280 and 768 numbers."""
PREPROCESSOR: dict[str, Any] = {
    "image_processor_type": "CLIPImageProcessor",
    "do_resize": True,
    "size": {"shortest_edge": 224},
    "resample": 3,
    "do_center_crop": True,
    "crop_size": {"height": 224, "width": 224},
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "do_convert_rgb": True,
}


def write(folder: Path, name: str) -> None:
    """Write the encoder called `name`, float16 like the hub's."""
    write_encoder(folder, name, ENCODERS[name])


def write_encoder(folder: Path, name: str, config: dict[str, Any]) -> None:
    """Write an encoder with the settings `config`, whose weights `name` decides."""
    encoder = fill(CLIPVisionModelWithProjection(CLIPVisionConfig(**config)), name, _gain)
    encoder.to(torch.float16).save_pretrained(folder, safe_serialization=True)
    side = config["image_size"]
    settings = {**PREPROCESSOR, "size": {"shortest_edge": side}, "crop_size": {"height": side, "width": side}}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings, indent=2))


def _gain(name: str) -> float:
    """Look closely: attention picks among patches instead of averaging them all, and the class token sees pictures."""
    if name.endswith(("q_proj.weight", "k_proj.weight")):
        return 2.0
    return 4.0 if name.endswith("patch_embedding.weight") else 1.0
