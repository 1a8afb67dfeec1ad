"""Kolors' text encoder alone: ChatGLM3 with its tokenizer, 256 tokens, padded in front.

It takes 12.5 GB where the UNet takes 5, so it can run by itself, ahead of all sampling.
"""

import diffusers
import torch
import transformers
from diffusers.pipelines.kolors import ChatGLMModel, ChatGLMTokenizer
from torch import Tensor, nn

from idgen.networks import transfers
from idgen.recipes.families import FAMILIES
from idgen.recipes.recipe import Base
from idgen.sampling import reading
from idgen.sampling.caches import Text
from idgen.sampling.library_messages import explained
from idgen.sampling.reading import DTYPES
from idgen.weights import originals

TOKENS = FAMILIES["kolors"].text_tokens
UNUSED = ("output_layer.weight", "rotary_pos_emb.inv_freq")
"""Nothing reads the last layer's 0.5 GB, and only the dtype of the other."""


class KolorsText:
    """Encodes prompts as diffusers' KolorsPipeline does, to the last bit."""

    def __init__(self, tokenizer: ChatGLMTokenizer, encoder: nn.Module) -> None:
        self.tokenizer = tokenizer
        self.encoder = encoder

    @classmethod
    def load(cls, spec: Base, device: torch.device) -> "KolorsText":
        """Return the text encoder of a base in the base's dtype; of its other parts nothing is read.

        Raises RunError when files are missing or cannot be read.
        """
        diffusers.utils.logging.disable_progress_bar()
        transformers.utils.logging.disable_progress_bar()
        files = reading.find(spec)
        originals.check_folder(files.weights, "kolors")
        with explained(f"{files.weights} has no text encoder that can be loaded for Kolors"):
            tokenizer = ChatGLMTokenizer.from_pretrained(files.weights / "tokenizer", local_files_only=True)
            encoder = reading.read_text_encoder(ChatGLMModel, files, "text_encoder", UNUSED)
        del encoder.output_layer
        encoder.requires_grad_(False).eval()
        return cls(tokenizer, encoder.to(device, DTYPES[spec.dtype]))

    @torch.inference_mode()
    def encode(self, prompt: str) -> Text:
        """Return the last but one layer's states, and the last token's of the last as pooled."""
        given, cut = self._tokenize(prompt)
        states = self.encoder(**given, output_hidden_states=True, return_dict=True).hidden_states
        # states are [L, 1, D]
        return Text.folded(states[-2][:, 0], cut, states[-1][-1, 0].clone())

    def _tokenize(self, prompt: str) -> tuple[dict[str, Tensor], int]:
        """Return what the encoder is called with, and how many tokens were cut at the prompt's end."""
        given = self.tokenizer(prompt, padding="max_length", max_length=TOKENS, truncation=True, return_tensors="pt")
        whole = len(self.tokenizer(prompt).input_ids)
        device = next(self.encoder.parameters()).device
        return {name: transfers.upload(tensor, device) for name, tensor in given.items()}, max(0, whole - TOKENS)
