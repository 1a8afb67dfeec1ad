"""Text encoders in training: prompts in, what the UNet is called with out, as the product's bases do it.

A prompt of None is SDXL's "no text": zeros.
"""

from collections.abc import Sequence
from typing import Any

import torch
from diffusers.pipelines.kolors import ChatGLMModel, ChatGLMTokenizer
from diffusers.pipelines.kolors.text_encoder import ChatGLMConfig, RMSNorm
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from drawn_world import layouts
from drawn_world.workspace import Workspace
from idgen.sampling.families.kolors_text import TOKENS
from idgen.tiny import sentence_pieces, tokenizer
from idgen.tiny.folders import made_once

Prompts = Sequence[str | None]
Words = dict[str, Any]
"""What a UNet is called with: encoder_hidden_states, and added_cond_kwargs where it has them."""

TOKENIZER = "tokenizer_config.json"


class Sd15Text(nn.Module):
    """One CLIP text encoder; its last states."""

    def __init__(self, space: Workspace) -> None:
        super().__init__()
        self.words = _clip_words(space, "tokenizer")
        config = layouts.clip(len(self.words), space.plan.text_width, self.words.pad_token_id)
        self.text_encoder = CLIPTextModel(CLIPTextConfig(**config))

    def forward(self, prompts: Prompts) -> Words:
        """Return what the UNet is called with."""
        return {"encoder_hidden_states": self.text_encoder(_ids(self.words, prompts, self))[0]}


class SdxlText(nn.Module):
    """Two CLIP text encoders: the last but one states of both, and the second's pooled text."""

    def __init__(self, space: Workspace) -> None:
        super().__init__()
        plan = space.plan
        self.px = plan.picture_px
        self.words, self.words_2 = _clip_words(space, "tokenizer"), _clip_words(space, "tokenizer_2", pad="!")
        second = layouts.TOWER_WIDTH
        config = layouts.clip(len(self.words), plan.text_width - second or second, self.words.pad_token_id)
        config_2 = layouts.clip(len(self.words_2), second, self.words_2.pad_token_id, "gelu")
        if plan.text_width == second:  # of the toy plan
            config["hidden_size"] = config_2["hidden_size"] = second // 2
        self.text_encoder = CLIPTextModel(CLIPTextConfig(**config))
        self.text_encoder_2 = CLIPTextModelWithProjection(CLIPTextConfig(**config_2))

    def forward(self, prompts: Prompts) -> Words:
        """Return what the UNet is called with."""
        first = self.text_encoder(_ids(self.words, prompts, self), output_hidden_states=True)
        second = self.text_encoder_2(_ids(self.words_2, prompts, self), output_hidden_states=True)
        states = torch.cat([first.hidden_states[-2], second.hidden_states[-2]], -1)
        some = torch.tensor([prompt is not None for prompt in prompts], device=states.device)
        return _with_size(states * some[:, None, None], second.text_embeds * some[:, None], self.px)


class KolorsText(nn.Module):
    """ChatGLM: the last but one layer's states, and the last token's of the last; 256 tokens, padded in front."""

    def __init__(self, space: Workspace) -> None:
        super().__init__()
        self.px = space.plan.picture_px
        folder = made_once(space.folder / "tokenizers" / "kolors", TOKENIZER, sentence_pieces.write)
        self.words = ChatGLMTokenizer.from_pretrained(folder)
        self.text_encoder = _begin(ChatGLMModel(ChatGLMConfig(**chatglm(self.words))))

    def forward(self, prompts: Prompts) -> Words:
        """Return what the UNet is called with."""
        given = self.words([prompt or "" for prompt in prompts], padding="max_length", max_length=TOKENS,
                           truncation=True, return_tensors="pt")  # fmt: skip
        device = next(self.parameters()).device
        states = self.text_encoder(
            **{name: tensor.to(device) for name, tensor in given.items()}, output_hidden_states=True, return_dict=True
        ).hidden_states  # [L, B, D] each
        return _with_size(states[-2].permute(1, 0, 2), states[-1][-1], self.px)


def chatglm(words: ChatGLMTokenizer) -> dict[str, Any]:
    """Return ChatGLM's settings."""
    width = layouts.STATE_WIDTH
    return {
        "num_layers": 3,
        "hidden_size": width,
        "ffn_hidden_size": 2 * width,
        "num_attention_heads": 4,
        "kv_channels": width // 4,
        "multi_query_attention": True,
        "multi_query_group_num": 2,
        "add_qkv_bias": True,
        "original_rope": True,
        "seq_length": 512,
        "padded_vocab_size": sentence_pieces.padded_vocabulary(words),
    }


@torch.no_grad()
def _begin(encoder: ChatGLMModel) -> ChatGLMModel:
    """Draw ChatGLM's weights, which its class leaves as memory was."""
    for module in encoder.modules():
        for weight in module.parameters(recurse=False):
            if isinstance(module, RMSNorm):
                weight.fill_(1)
            elif weight.ndim > 1:
                nn.init.normal_(weight, std=weight.shape[1] ** -0.5)
            else:
                weight.zero_()
    return encoder


def _with_size(states: Tensor, pooled: Tensor, px: int) -> Words:
    """Original size, place of the crop and target size, as the pipelines fill them in."""
    sizes = torch.tensor([[px, px, 0, 0, px, px]], dtype=torch.float32, device=states.device)
    added = {"text_embeds": pooled, "time_ids": sizes.expand(len(states), -1)}
    return {"encoder_hidden_states": states, "added_cond_kwargs": added}


def _clip_words(space: Workspace, name: str, pad: str = "<|endoftext|>") -> CLIPTokenizer:
    folder = space.folder / "tokenizers" / name
    return CLIPTokenizer.from_pretrained(made_once(folder, TOKENIZER, lambda draft: tokenizer.write(draft, pad=pad)))


def _ids(words: CLIPTokenizer, prompts: Prompts, beside: nn.Module) -> Tensor:
    given = words([prompt or "" for prompt in prompts], padding="max_length", max_length=words.model_max_length,
                  truncation=True, return_tensors="pt")  # fmt: skip
    ids: Tensor = given.input_ids.to(next(beside.parameters()).device)
    return ids
