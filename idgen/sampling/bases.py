"""Loads base models: stock diffusers pipelines from local files, never patched.

A new kind of base is a class in a file beside this one and a line in the table.
"""

from collections.abc import Callable
from typing import Protocol

import torch

from idgen.recipes import Base
from idgen.sampling import loras
from idgen.sampling.caches import Text
from idgen.sampling.reading import Pipeline as Pipeline
from idgen.sampling.sd15 import Sd15Base
from idgen.sampling.sdxl import SdxlBase


class LoadedBase(Protocol):
    """What the sampler needs of a base."""

    pipeline: Pipeline
    """diffusers' plain text-to-image pipeline."""
    dtype: torch.dtype
    """Of the UNet and of all embeddings."""

    def place(self, device: torch.device) -> None:
        """Cast to the recipe's dtypes and move; call when LoRAs are merged."""
        ...

    def encode(self, prompt: str) -> Text:
        """Return one prompt's embeddings on the device."""
        ...

    def no_text(self) -> Text:
        """Return what stands for no prompt at all: a negative prompt that is null."""
        ...


BASES: dict[str, Callable[[Base], LoadedBase]] = {"sd15": Sd15Base, "sdxl": SdxlBase}


def load(spec: Base) -> LoadedBase:
    """Return the base of a recipe from local files, its LoRAs merged, not cast yet.

    Raises RunError when something is missing, cannot be read or does not fit.
    """
    base = BASES[spec.kind](spec)
    for lora in spec.loras:
        loras.merge(base.pipeline, lora)
    return base
