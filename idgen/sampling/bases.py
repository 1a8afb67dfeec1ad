"""Loads base models: stock diffusers pipelines from local files, never patched.

A new kind of base is a class in a file beside this one and a line in the table.
"""

from collections.abc import Callable
from typing import Protocol

import torch

from idgen.recipes.recipe import Base
from idgen.sampling import loras
from idgen.sampling.caches import Text
from idgen.sampling.kolors import KolorsBase
from idgen.sampling.prompt_pieces import Reading
from idgen.sampling.reading import Pipeline as Pipeline
from idgen.sampling.sd15 import Sd15Base
from idgen.sampling.sdxl import SdxlBase
from idgen.sampling.texts import TextSource


class LoadedBase(Protocol):
    """What the sampler needs of a base."""

    pipeline: Pipeline
    """diffusers' plain text-to-image pipeline."""
    dtype: torch.dtype
    """Of the UNet and of all embeddings."""
    prompts: Reading
    """How `encode` reads a prompt; set before the first one."""

    def place(self, device: torch.device) -> None:
        """Cast to the recipe's dtypes and move; call when LoRAs are merged."""
        ...

    def encode(self, prompt: str) -> Text:
        """Return one prompt's embeddings on the device."""
        ...

    def no_text(self) -> Text:
        """Return what stands for no prompt at all: a negative prompt that is null."""
        ...


BASES: dict[str, Callable[[Base, TextSource | None], LoadedBase]] = {
    "sd15": lambda spec, _texts: Sd15Base(spec),
    "sdxl": lambda spec, _texts: SdxlBase(spec),
    "kolors": KolorsBase,
}
"""Kind -> what makes it of a recipe's base and of the prompts that were encoded ahead."""


def load(spec: Base, texts: TextSource | None = None) -> LoadedBase:
    """Return the base of a recipe from local files, its LoRAs merged, not cast yet.

    With `texts` the text encoder is not read, where it can be told apart from the rest: kolors.
    Raises RunError when something is missing, cannot be read or does not fit.
    """
    base = BASES[spec.kind](spec, texts)
    for lora in spec.loras:
        loras.merge(base.pipeline, lora)
    return base
