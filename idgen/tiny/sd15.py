"""A tiny Stable Diffusion 1.5 in the official layout: the real classes and layers (16 cross-attentions), small widths.

Weights are random; gains are chosen by eye: abstract, colourful pictures that a person, a prompt and a seed each
change visibly.
"""

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from idgen.tiny import painting, tokenizer
from idgen.tiny.random_weights import fill

TEXT_WIDTH = 64
UNET: dict[str, Any] = {
    "sample_size": 16,
    "block_out_channels": (16, 32, 64, 64),
    "norm_num_groups": 8,
    "cross_attention_dim": TEXT_WIDTH,
    "attention_head_dim": 2,  # heads; the real one has 8, which costs CPUs four times as much and shows nothing more
}
VAE: dict[str, Any] = {
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": (8, 8, 16, 16),
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "latent_channels": 4,
    "sample_size": 128,
}
SCHEDULER: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}


def write_base(folder: Path) -> None:
    """Write the base in diffusers layout, float16 as bases are stored."""
    tokenizer.write(folder / "tokenizer")
    words = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    pipeline = StableDiffusionPipeline(
        vae=painting.clear_decoder(fill(AutoencoderKL(**VAE), "sd15.vae")),
        text_encoder=text_encoder(len(words)),
        tokenizer=words,
        unet=painting.denoise(fill(UNet2DConditionModel(**UNET), "sd15.unet", unet_gain)),
        scheduler=DDIMScheduler(**SCHEDULER),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.to(dtype=torch.float16).save_pretrained(folder, safe_serialization=True)


def unet_gain(name: str) -> float:
    """Return the gain of a UNet's tensor: let the layers that look at the text listen well, a prompt has to show."""
    return 2.5 if name.endswith(("attn2.to_k.weight", "attn2.to_v.weight")) else 1.0


def text_encoder(vocabulary: int) -> CLIPTextModel:
    """Return the CLIP text encoder for `vocabulary` tokens, the last two of which begin and end a text."""
    config = CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=TEXT_WIDTH,
        projection_dim=TEXT_WIDTH,
        intermediate_size=2 * TEXT_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        bos_token_id=vocabulary - 2,
        eos_token_id=vocabulary - 1,
        pad_token_id=vocabulary - 1,
    )
    return fill(CLIPTextModel(config), "sd15.text_encoder", lambda name: 8.0 if "embedding" in name else 1.0)
