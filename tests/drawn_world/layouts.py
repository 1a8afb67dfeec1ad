"""The bases' settings: the families' own classes and blocks, three levels instead of four, few layers, small widths."""

from typing import Any

from drawn_world.plan import Plan

HEAD = 64
"""Channels to an attention head, about."""
TIME_ID_WIDTH = 8
TOWER_WIDTH = 64
"""Of each of SDXL's text encoders."""
STATE_WIDTH = 128
"""Of ChatGLM's states."""


def sd15(plan: Plan) -> dict[str, Any]:
    """Return the UNet's settings: attention on the two largest levels of three."""
    return {
        **_common(plan, plan.sd15_widths),
        "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    }


def sdxl(plan: Plan) -> dict[str, Any]:
    """Return the UNet's settings: no attention on the largest level, and a pooled text beside the time."""
    return {
        **_common(plan, plan.sdxl_widths),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "transformer_layers_per_block": plan.sdxl_depths,
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": TIME_ID_WIDTH,
        "projection_class_embeddings_input_dim": TOWER_WIDTH + 6 * TIME_ID_WIDTH,
    }


def kolors(plan: Plan) -> dict[str, Any]:
    """Return the UNet's settings: SDXL's, behind a projection of ChatGLM's states."""
    return {
        **sdxl(plan),
        "encoder_hid_dim": STATE_WIDTH,
        "encoder_hid_dim_type": "text_proj",
        "projection_class_embeddings_input_dim": STATE_WIDTH + 6 * TIME_ID_WIDTH,
    }


def clip(vocabulary: int, width: int, pad: int, act: str = "quick_gelu") -> dict[str, Any]:
    """Return the settings of a CLIP text encoder; the last two tokens of the vocabulary begin and end a text."""
    return {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "projection_dim": width,
        "intermediate_size": 4 * width,
        "num_hidden_layers": 2,
        "num_attention_heads": max(1, width // 32),
        "hidden_act": act,
        "bos_token_id": vocabulary - 2,
        "eos_token_id": vocabulary - 1,
        "pad_token_id": pad,
    }


def _common(plan: Plan, widths: tuple[int, ...]) -> dict[str, Any]:
    return {
        "sample_size": plan.latent_side,
        "block_out_channels": widths,
        "layers_per_block": 1,
        "norm_num_groups": 4,  # of 16 channels and more: below, torch's kernels take ten times as long
        "cross_attention_dim": plan.text_width,
        "attention_head_dim": tuple(max(1, width // HEAD) for width in widths),  # diffusers' name for their number
    }
