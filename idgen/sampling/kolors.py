"""Kolors: SDXL's UNet and VAE with a large language model for text, whose states the UNet projects."""

import torch

from idgen import weights
from idgen.errors import Exit, RunError
from idgen.recipes.recipe import Base
from idgen.sampling import stock
from idgen.sampling.caches import Text
from idgen.sampling.kolors_text import KolorsText
from idgen.sampling.texts import TextSource
from idgen.weights.originals import check_not_original_kolors


class KolorsBase(stock.StockBase):
    """See the module's docstring; follows idgen.sampling.bases.LoadedBase.

    The pipeline never has the text encoder: it is beside it, or not loaded when prompts were encoded ahead.
    """

    PIPELINE = "KolorsPipeline"
    SETTINGS = {  # noqa: RUF012
        "text_encoder": None,
        "tokenizer": None,
        "feature_extractor": None,
        "image_encoder": None,
    }
    TOWERS = ()
    PREFIXES = ()
    FAMILY = "kolors"
    UPCASTS = True

    def __init__(self, spec: Base, texts: TextSource | None = None) -> None:
        """As StockBase; `texts` has the prompts where they were encoded ahead."""
        at = weights.locate(spec.weights, spec.revision)
        if at.is_file():
            raise RunError(Exit.USAGE, f"{at} is a single file; Kolors is read from a folder in diffusers layout only")
        check_not_original_kolors(at)
        super().__init__(spec)
        self._texts = texts
        self._encoder = None if texts is not None else KolorsText.load(spec, torch.device("cpu"))
        self._device = torch.device("cpu")

    def place(self, device: torch.device) -> None:
        """As StockBase, with the text encoder where there is one."""
        super().place(device)
        self._device = device
        if self._encoder is not None:
            self._encoder.encoder.to(device)

    def encode(self, prompt: str) -> Text:
        """Same as the pipeline's `encode_prompt`, made here or ahead."""
        if self._encoder is not None:
            return self._encoder.encode(prompt)
        assert self._texts is not None
        return self._texts.get(prompt).to(self._device, self.dtype)

    def no_text(self) -> Text:
        """The empty prompt, as Kolors' authors have it."""
        return self.encode("")
