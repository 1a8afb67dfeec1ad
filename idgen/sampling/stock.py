"""What all bases have in common: a stock pipeline, read, cast and placed."""

from collections.abc import Mapping
from typing import Any, ClassVar

import diffusers
import torch
import transformers
from torch import nn

from idgen.errors import Exit, RunError
from idgen.recipes.recipe import Base
from idgen.sampling import reading, single_file
from idgen.sampling.prompt_pieces import STOCK, Reading
from idgen.sampling.reading import Pipeline
from idgen.weights import base_rules
from idgen.weights.headers import dtypes_of

DTYPES: dict[str, torch.dtype] = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}


class StockBase:
    """Read in the precision that files are stored in; `place` casts, once LoRAs are merged."""

    PIPELINE: ClassVar[str]
    """diffusers' class."""
    SETTINGS: ClassVar[Mapping[str, Any]]
    """Of the pipeline: without the parts that are not used."""
    TOWERS: ClassVar[tuple[tuple[str, str], ...]]
    """(tokenizer, text encoder) each."""
    PREFIXES: ClassVar[tuple[str, ...]]
    """Of the UNet and the text encoders in a single file."""
    FAMILY: ClassVar[str]
    """base.kind."""
    UPCASTS: ClassVar[bool]
    """The family's pipelines take heed of a VAE that says it overflows in float16."""

    def __init__(self, spec: Base) -> None:
        """Raises RunError when files are missing, cannot be read, or are not of this family."""
        self.dtype = DTYPES[spec.dtype]
        self.prompts: Reading = STOCK
        diffusers.utils.logging.disable_progress_bar()
        transformers.utils.logging.disable_progress_bar()
        files = reading.find(spec)
        if files.weights.is_file():
            single_file.check_parts(files.weights, self.PREFIXES, own_vae=not spec.vae)
        unet = reading.read_unet(files)
        self._check_family(unet, spec)
        if files.weights.is_dir():
            base_rules.check_texts(files.weights, spec.kind)
        vae: Any = reading.read_vae(files, DTYPES[spec.vae_dtype])
        names = dtypes_of(files.vae) if files.vae.is_file() else ()
        base_rules.check_vae(vae.config, spec.kind, spec.vae or spec.weights, names)
        if self.UPCASTS and vae.dtype == torch.float16 and vae.config.force_upcast:
            nn.Module.to(vae, dtype=torch.float32)
        kind = getattr(diffusers, self.PIPELINE)
        self.pipeline: Pipeline = reading.read_pipeline(kind, files, {"unet": unet, "vae": vae, **self.SETTINGS})
        self.pipeline.set_progress_bar_config(disable=True)
        if files.weights.is_file():
            single_file.check_texts_read(files.weights, zip(self.PREFIXES[1:], self._encoders(), strict=True))
        if files.unet.is_file():
            single_file.follow_marks(self.pipeline, files.unet)
        base_rules.check_schedule(self.pipeline.scheduler.config, str(files.config))
        for tokenizer, encoder in self.TOWERS:
            _limit_tokens(getattr(self.pipeline, tokenizer), getattr(self.pipeline, encoder))
        for module in (unet, vae, *self._encoders()):
            module.requires_grad_(False).eval()

    def place(self, device: torch.device) -> None:
        """Cast UNet and text encoders to the recipe's dtype and move everything to `device`."""
        for module in (self.pipeline.unet, *self._encoders()):
            # diffusers' own `to` warns about modules to keep in float32: these have none
            nn.Module.to(module, dtype=self.dtype)
        self.pipeline.to(device)
        if device.type == "cuda":
            _channels_last(self.pipeline.unet)
            _channels_last(self.pipeline.vae)

    def _encoders(self) -> list[nn.Module]:
        return [getattr(self.pipeline, encoder) for _, encoder in self.TOWERS]

    def _check_family(self, unet: Any, spec: Base) -> None:  # noqa: ANN401
        looks_like = base_rules.family(unet.config)
        if looks_like != self.FAMILY:
            raise RunError(
                Exit.USAGE,
                f"the UNet of {spec.unet or spec.weights} is not of the family base.kind={spec.kind} says, it looks "
                f"like {looks_like}; mend base.kind, or give weights of that family",
            )
        if unet.config.in_channels != 4:
            raise RunError(
                Exit.USAGE,
                f"the UNet of {spec.unet or spec.weights} takes {unet.config.in_channels} channels, as inpainting "
                "bases do; give the plain one, which takes 4",
            )


def _limit_tokens(tokenizer: Any, encoder: Any) -> None:  # noqa: ANN401
    """Let the encoder say how many tokens it has room for where the tokenizer's settings do not."""
    tokenizer.model_max_length = min(tokenizer.model_max_length, encoder.config.max_position_embeddings)


def _channels_last(module: nn.Module) -> None:
    """Convolutions on GPUs are faster in this layout; results differ by rounding."""
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a documented form that torch's stub lacks
