"""A tiny Stable Diffusion XL in the official layout: 140 attention layers in depths 1, 2 and 10, two text encoders.

Random weights like sd15.py's. The second tokenizer pads with "!" as the official one does, the first with the end of
the text.
"""

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from idgen.tiny import painting, sd15, tokenizer
from idgen.tiny.random_weights import fill

TEXT_WIDTHS = (48, 80)
TEXT_WIDTH = sum(TEXT_WIDTHS)
"""Of the UNet's cross-attention; a multiple of 64, as FaceID-Plus has a head per 64."""
TIME_ID_WIDTH = 8

UNET: dict[str, Any] = {
    "sample_size": 16,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "block_out_channels": (16, 32, 32),
    "layers_per_block": 2,
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (1, 2, 2),  # heads; the real one has (5, 10, 20)
    "norm_num_groups": 8,
    "cross_attention_dim": TEXT_WIDTH,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": TIME_ID_WIDTH,
    "projection_class_embeddings_input_dim": TEXT_WIDTHS[1] + 6 * TIME_ID_WIDTH,
}
VAE: dict[str, Any] = {**sd15.VAE, "scaling_factor": 0.13025}
SCHEDULER: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "steps_offset": 1,
    "timestep_spacing": "leading",
}


def write_base(folder: Path) -> None:
    """Write the base in diffusers layout, float16 as bases are stored."""
    tokenizer.write(folder / "tokenizer")
    tokenizer.write(folder / "tokenizer_2", pad="!")
    words, words_2 = (CLIPTokenizer.from_pretrained(folder / name) for name in ("tokenizer", "tokenizer_2"))
    pipeline = StableDiffusionXLPipeline(
        vae=painting.clear_encoder(painting.clear_decoder(fill(AutoencoderKL(**VAE), "sdxl.vae"))),
        text_encoder=_text_encoder(words, "text_encoder", CLIPTextModel, "quick_gelu", TEXT_WIDTHS[0]),
        text_encoder_2=_text_encoder(words_2, "text_encoder_2", CLIPTextModelWithProjection, "gelu", TEXT_WIDTHS[1]),
        tokenizer=words,
        tokenizer_2=words_2,
        unet=unet("sdxl.unet"),
        scheduler=EulerDiscreteScheduler(**SCHEDULER),
        add_watermarker=False,
    )
    pipeline.to(dtype=torch.float16).save_pretrained(folder, safe_serialization=True)


def write_lightning_unet(path: Path) -> None:
    """Write another whole UNet for the base, as SDXL-Lightning's file has it: diffusers' keys, float16."""
    other = unet("lightning.unet").half()
    save_file({name: tensor.contiguous() for name, tensor in other.state_dict().items()}, path)


def unet(name: str) -> UNet2DConditionModel:
    """Return a UNet whose weights `name` decides, float32."""
    return painting.denoise(fill(UNet2DConditionModel(**UNET), name, sd15.unet_gain))


def _text_encoder(words: CLIPTokenizer, name: str, kind: Any, act: str, width: int) -> Any:  # noqa: ANN401
    """Return a text encoder for the tokens of `words`, of which the last two begin and end a text."""
    config = CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=width,
        projection_dim=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=4,
        hidden_act=act,
        bos_token_id=len(words) - 2,
        eos_token_id=len(words) - 1,
        pad_token_id=words.pad_token_id,
    )
    return fill(kind(config), f"sdxl.{name}", lambda key: 8.0 if "embedding" in key else 1.0)
