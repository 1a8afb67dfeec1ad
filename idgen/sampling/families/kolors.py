"""Kolors: SDXL's UNet and VAE with a large language model for text, whose states the UNet projects."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from idgen import weights
from idgen.recipes.families import FamilyName
from idgen.recipes.recipe import Base
from idgen.sampling.caches import Text
from idgen.sampling.families.kolors_text import KolorsText
from idgen.sampling.families.pipelines import GivenNoise, Kinds
from idgen.sampling.families.protocol import TextEncoder, TextSource
from idgen.sampling.families.unet import UnetBase
from idgen.sampling.prompt_pieces import Reading
from idgen.weights import originals


class KolorsStart:
    """Mix-in for Kolors' image to image, which forgets two things that it is told (diffusers 0.42).

    Of embeddings that are given it drops the pooled ones, and takes every picture for one of 1024 pixels.
    """

    def __call__(self, **words: Tensor) -> object:
        """Same as diffusers', with the size of the start latents."""
        parts: Any = self
        self._pooled = {name: words[name] for name in ("pooled_prompt_embeds", "negative_pooled_prompt_embeds")}
        height, width = (side * parts.vae_scale_factor for side in words["image"].shape[-2:])
        return super().__call__(**words, height=height, width=width)  # type: ignore[misc]

    def encode_prompt(self, **words: object) -> object:
        """Same as diffusers', with the pooled embeddings."""
        return super().encode_prompt(**words | self._pooled)  # type: ignore[misc]


class Kolors(UnetBase):
    """See the module's docstring; follows idgen.sampling.families.protocol.LoadedBase.

    The pipeline never has the text encoder: it is beside it, or not loaded when prompts were encoded ahead.
    """

    FAMILY: ClassVar[FamilyName] = "kolors"
    KINDS = Kinds(plain="KolorsPipeline", from_image="KolorsImg2ImgPipeline", start_mix_ins=(GivenNoise, KolorsStart))
    WITHOUT = {  # noqa: RUF012
        "text_encoder": None,
        "tokenizer": None,
        "feature_extractor": None,
        "image_encoder": None,
    }
    TOWERS = ()
    UPCASTS = True

    def __init__(self, spec: Base, texts: TextSource | None = None) -> None:
        """As UnetBase, but that with `texts` the text encoder is not even read."""
        originals.check_folder(weights.locate(spec.weights, spec.revision), self.FAMILY)
        super().__init__(spec, texts)
        self._encoder = None if texts is not None else KolorsText.load(spec, torch.device("cpu"))

    @classmethod
    def load_encoder(cls, spec: Base, device: torch.device, _prompts: Reading) -> TextEncoder:
        """Return the text encoder on `device`; of the rest nothing is read."""
        return KolorsText.load(spec, device)

    def place(self, device: torch.device) -> None:
        """As UnetBase, with the text encoder where there is one."""
        super().place(device)
        if self._encoder is not None:
            self._encoder.encoder.to(device)

    def encode_here(self, prompt: str) -> Text:
        """Same as the pipeline's `encode_prompt`."""
        assert self._encoder is not None
        return self._encoder.encode(prompt)
