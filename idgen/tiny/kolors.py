"""A tiny Kolors in diffusers' layout: SDXL's UNet in depths 1, 2 and 10 behind a projection of ChatGLM's states.

Random weights like sd15.py's. The VAE is SDXL's, as the real one. The real text encoder has 28 layers and states of
4096 numbers, which the UNet projects to 2048.
"""

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler, KolorsPipeline, UNet2DConditionModel
from diffusers.pipelines.kolors import ChatGLMModel
from diffusers.pipelines.kolors.text_encoder import ChatGLMConfig, RMSNorm

from idgen.tiny import painting, sd15, sdxl, sentence_pieces
from idgen.tiny.random_weights import fill

STATE_WIDTH = 128
"""Of ChatGLM's states; a multiple of 64, as FaceID-Plus has a head per 64."""
TEXT_WIDTH = 96
"""Of the UNet's cross-attention."""
PAD = 0
"""Token that fills a prompt up to 256, <unk>."""

UNET: dict[str, Any] = {
    **sdxl.UNET,
    "cross_attention_dim": TEXT_WIDTH,
    "encoder_hid_dim": STATE_WIDTH,
    "encoder_hid_dim_type": "text_proj",
    "projection_class_embeddings_input_dim": STATE_WIDTH + 6 * sdxl.TIME_ID_WIDTH,
}
CHATGLM: dict[str, Any] = {
    "num_layers": 3,
    "hidden_size": STATE_WIDTH,
    "ffn_hidden_size": 2 * STATE_WIDTH,
    "num_attention_heads": 4,
    "kv_channels": STATE_WIDTH // 4,
    "multi_query_attention": True,
    "multi_query_group_num": 2,
    "add_qkv_bias": True,
    "original_rope": True,
    "seq_length": 512,
}
SCHEDULER: dict[str, Any] = {**sdxl.SCHEDULER, "beta_end": 0.014, "num_train_timesteps": 1100}


def write_base(folder: Path) -> None:
    """Write the base in diffusers layout, float16 as bases are stored."""
    tokenizer = sentence_pieces.write(folder / "tokenizer")
    pipeline = KolorsPipeline(
        vae=painting.clear_encoder(painting.clear_decoder(fill(AutoencoderKL(**sdxl.VAE), "sdxl.vae"))),
        text_encoder=text_encoder(sentence_pieces.padded_vocabulary(tokenizer)),
        tokenizer=tokenizer,
        unet=painting.denoise(fill(UNet2DConditionModel(**UNET), "kolors.unet", sd15.unet_gain)),
        scheduler=EulerDiscreteScheduler(**SCHEDULER),
        force_zeros_for_empty_prompt=False,
    )
    pipeline.to(dtype=torch.float16).save_pretrained(folder, safe_serialization=True)


@torch.no_grad()
def text_encoder(vocabulary: int) -> ChatGLMModel:
    """Return the ChatGLM for `vocabulary` tokens.

    Nine rows in ten of a prompt are padding, at which every pixel looks too: it says little, so that the words show.
    """
    encoder = fill(ChatGLMModel(ChatGLMConfig(**CHATGLM, padded_vocab_size=vocabulary)), "kolors.text_encoder", _gain)
    for module in encoder.modules():
        if isinstance(module, RMSNorm):
            module.weight += 1
    encoder.embedding.word_embeddings.weight[PAD] = 0
    return encoder


def _gain(name: str) -> float:
    """Let states be the words' own more than what the layers add."""
    if name.endswith(("dense.weight", "dense_4h_to_h.weight")):
        return 0.3
    return 8.0 if "embedding" in name else 1.0
