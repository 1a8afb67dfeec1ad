"""Stable Diffusion 1.5, SDXL and Kolors in diffusers' layout at full size.

Settings are the published configs'. The tokenizers are the tiny world's, so beginning and end of a text have its ids;
the text encoders' vocabularies have their full size.
"""

import json
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import AutoencoderKL, DDIMScheduler, EulerDiscreteScheduler, UNet2DConditionModel
from diffusers.pipelines.kolors import ChatGLMModel
from diffusers.pipelines.kolors.text_encoder import ChatGLMConfig
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from idgen.full_size.files import write_safetensors, write_shards
from idgen.full_size.tables import table
from idgen.tiny import kolors, sd15, sdxl, sentence_pieces, tokenizer

UNETS: dict[str, dict[str, Any]] = {
    "sd15": {
        "sample_size": 64,
        "cross_attention_dim": 768,
        "attention_head_dim": 8,
        "block_out_channels": (320, 640, 1280, 1280),
    },
    "sdxl": {
        "sample_size": 128,
        "block_out_channels": (320, 640, 1280),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "transformer_layers_per_block": (1, 2, 10),
        "attention_head_dim": (5, 10, 20),
        "cross_attention_dim": 2048,
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    },
}
UNETS["kolors"] = UNETS["sdxl"] | {
    "encoder_hid_dim": 4096,
    "encoder_hid_dim_type": "text_proj",
    "projection_class_embeddings_input_dim": 5632,
}
VAE: dict[str, Any] = {
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
}
VAES: dict[str, dict[str, Any]] = {
    "sd15": {**VAE, "sample_size": 256, "force_upcast": False},
    "sdxl": {**VAE, "sample_size": 1024, "scaling_factor": 0.13025},
}
CLIP_L: dict[str, Any] = {
    "vocab_size": 49408,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "projection_dim": 768,
    "hidden_act": "quick_gelu",
}
CLIP_BIGG: dict[str, Any] = {
    "vocab_size": 49408,
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "projection_dim": 1280,
    "hidden_act": "gelu",
}
CHATGLM: dict[str, Any] = {
    "num_layers": 28,
    "padded_vocab_size": 65024,
    "hidden_size": 4096,
    "ffn_hidden_size": 13696,
    "kv_channels": 128,
    "num_attention_heads": 32,
    "multi_query_attention": True,
    "multi_query_group_num": 2,
    "add_qkv_bias": True,
    "original_rope": True,
    "seq_length": 32768,
}
CHATGLM_SHARDS = 7


def unet(family: str) -> UNet2DConditionModel:
    """Return a family's UNet without its bytes."""
    with torch.device("meta"):
        return UNet2DConditionModel(**UNETS[family])


def write_sd15(folder: Path, fill: bool) -> None:
    """Write an SD 1.5 base in float16, without a VAE: the recipes' base has none either."""
    _write_model(folder / "unet", unet("sd15"), fill)
    tokenizer.write(folder / "tokenizer")
    _write_clip(folder, "", CLIPTextModel, CLIP_L, fill)
    DDIMScheduler(**sd15.SCHEDULER).save_pretrained(folder / "scheduler")
    _write_index(
        folder, "StableDiffusionPipeline", text_encoder="CLIPTextModel", vae=None, safety_checker=None,
        requires_safety_checker=False,
    )  # fmt: skip


def write_sd15_vae(folder: Path, fill: bool) -> None:
    """Write sd-vae-ft-mse, float32 as published."""
    _write_model(folder, _vae("sd15"), fill, dtype=torch.float32)


def write_sdxl(folder: Path, fill: bool) -> None:
    """Write an SDXL base in float16."""
    _write_model(folder / "unet", unet("sdxl"), fill)
    _write_model(folder / "vae", _vae("sdxl"), fill)
    tokenizer.write(folder / "tokenizer")
    tokenizer.write(folder / "tokenizer_2", pad="!")
    _write_clip(folder, "", CLIPTextModel, CLIP_L, fill)
    _write_clip(folder, "_2", CLIPTextModelWithProjection, CLIP_BIGG, fill)
    EulerDiscreteScheduler(**sdxl.SCHEDULER).save_pretrained(folder / "scheduler")
    _write_index(
        folder, "StableDiffusionXLPipeline", text_encoder="CLIPTextModel",
        text_encoder_2="CLIPTextModelWithProjection", force_zeros_for_empty_prompt=True,
    )  # fmt: skip


def write_kolors(folder: Path, fill: bool, *, fill_texts: bool = True) -> None:
    """Write Kolors in float16: UNet and VAE as the variant fp16, ChatGLM3 in shards.

    Without `fill_texts` ChatGLM3 takes no room and has no numbers, for whoever does not load it.
    """
    _write_model(folder / "unet", unet("kolors"), fill, variant="fp16")
    _write_model(folder / "vae", _vae("sdxl"), fill, variant="fp16")
    sentence_pieces.write(folder / "tokenizer")
    config = ChatGLMConfig(**CHATGLM)
    with torch.device("meta"):
        encoder = ChatGLMModel(config)
    config.save_pretrained(folder / "text_encoder")
    write_shards(folder / "text_encoder", table(encoder, torch.float16), CHATGLM_SHARDS, fill=fill and fill_texts)
    EulerDiscreteScheduler(**kolors.SCHEDULER).save_pretrained(folder / "scheduler")
    _write_index(folder, "KolorsPipeline", text_encoder="ChatGLMModel", force_zeros_for_empty_prompt=False)


def _vae(family: str) -> AutoencoderKL:
    with torch.device("meta"):
        return AutoencoderKL(**VAES[family])


def _write_model(
    folder: Path,
    model: Any,  # noqa: ANN401
    fill: bool,
    *,
    dtype: torch.dtype = torch.float16,
    variant: str = "",
) -> None:
    """Write a diffusers model's settings and weights."""
    model.save_config(folder)
    ending = f".{variant}.safetensors" if variant else ".safetensors"
    write_safetensors(folder / f"diffusion_pytorch_model{ending}", table(model, dtype), fill=fill)


def _write_clip(folder: Path, number: str, kind: Any, settings: dict[str, Any], fill: bool) -> None:  # noqa: ANN401
    words = CLIPTokenizer.from_pretrained(folder / f"tokenizer{number}")
    ends = {"bos_token_id": len(words) - 2, "eos_token_id": len(words) - 1, "pad_token_id": words.pad_token_id}
    config = CLIPTextConfig(**settings, **ends)
    with torch.device("meta"):
        encoder = kind(config)
    encoder.config.save_pretrained(folder / f"text_encoder{number}")
    path = folder / f"text_encoder{number}" / "model.safetensors"
    write_safetensors(path, table(encoder, torch.float16), fill=fill)


def _write_index(folder: Path, pipeline: str, **rest: Any) -> None:  # noqa: ANN401
    """Write model_index.json: parts that all families have, and the `rest`: classes of text encoders, settings."""
    library = "kolors" if pipeline.startswith("Kolors") else "transformers"
    words = "ChatGLMTokenizer" if library == "kolors" else "CLIPTokenizer"
    scheduler = json.loads((folder / "scheduler" / "scheduler_config.json").read_text())["_class_name"]
    parts: dict[str, Any] = {
        "unet": "UNet2DConditionModel", "vae": "AutoencoderKL", "scheduler": scheduler, "tokenizer": words,
        "feature_extractor": None, "image_encoder": None, **rest,
    }  # fmt: skip
    if "text_encoder_2" in parts:
        parts["tokenizer_2"] = words
    index = {"_class_name": pipeline, "_diffusers_version": diffusers.__version__}
    for name, value in parts.items():
        of_text = name.startswith(("text_encoder", "tokenizer"))
        if isinstance(value, bool):
            index[name] = value
        else:
            index[name] = [None, None] if value is None else [library if of_text else "diffusers", value]
    (folder / "model_index.json").write_text(json.dumps(index, indent=2))
