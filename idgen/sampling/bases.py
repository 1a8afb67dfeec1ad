"""Loads base models, and text encoders alone: local files of whatever family, never patched."""

import torch

from idgen.recipes.recipe import Base
from idgen.sampling.families.protocol import LoadedBase, TextEncoder, TextSource
from idgen.sampling.families.table import READERS
from idgen.sampling.memory import loading
from idgen.sampling.prompt_pieces import STOCK, Reading


def load(spec: Base, texts: TextSource | None = None) -> LoadedBase:
    """Return the base of a recipe from local files, its LoRAs merged, not cast yet.

    `texts` has the prompts where they were encoded ahead. Raises RunError when something is missing, cannot be read or
    does not fit.
    """
    base = READERS[spec.kind].load(spec, texts)
    for lora in spec.loras:
        base.merge_lora(lora)
    return base


def load_encoder(spec: Base, device: str, prompts: Reading = STOCK) -> TextEncoder:
    """Return the text encoder of a base, LoRAs merged, without the rest of it; `prompts` as the recipe reads them.

    Raises RunError when files are missing, cannot be read, or do not fit the device.
    """
    with loading(f"the text encoder of {spec.weights}", device):
        return READERS[spec.kind].load_encoder(spec, torch.device(device), prompts)
