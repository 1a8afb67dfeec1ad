"""Loads base models: stock diffusers pipelines from a folder, never patched.

A new kind of base is a function here and a line in the table.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import diffusers
import torch
import transformers
from safetensors import safe_open
from torch import nn

from idgen import weights
from idgen.errors import Exit, RunError
from idgen.recipes import Base
from idgen.sampling.caches import Text

Pipeline = Any
"""diffusers carries no types."""

DTYPES: dict[str, torch.dtype] = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}


class LoadedBase(Protocol):
    """What the sampler needs of a base."""

    pipeline: Pipeline
    dtype: torch.dtype

    def place(self, device: torch.device) -> None:
        """Cast to the recipe's dtypes and move; call when LoRAs are merged."""
        ...

    def encode(self, prompt: str) -> Text:
        """Return one prompt's embeddings on the device."""
        ...

    def no_text(self) -> Text:
        """Return what stands for no prompt at all."""
        ...


class Sd15Base:
    """Stable Diffusion 1.5: UNet, VAE, one CLIP text encoder."""

    def __init__(self, spec: Base, folder: Path, vae_folder: Path | None = None) -> None:
        self.dtype, self.vae_dtype = DTYPES[spec.dtype], DTYPES[spec.vae_dtype]
        diffusers.utils.logging.disable_progress_bar()
        transformers.utils.logging.disable_progress_bar()
        variant = weights.weight_variant(folder)
        try:
            # stored dtype first: LoRAs are merged in float32 before the one and only cast (`place`)
            unet = diffusers.UNet2DConditionModel.from_pretrained(
                folder / "unet",
                dtype=_stored_dtype(weights.weight_files(folder / "unet", variant)),
                variant=variant,
                local_files_only=True,
            )
            parts = {"unet": unet}
            if vae_folder is not None:
                parts["vae"] = diffusers.AutoencoderKL.from_pretrained(
                    vae_folder, dtype=self.vae_dtype, local_files_only=True
                )
            self.pipeline: Pipeline = diffusers.StableDiffusionPipeline.from_pretrained(
                folder,
                **parts,
                dtype={"vae": self.vae_dtype, "default": self.dtype},
                variant=variant,
                local_files_only=True,
                safety_checker=None,
                feature_extractor=None,
                image_encoder=None,
                requires_safety_checker=False,
            )
        except (OSError, ValueError, KeyError) as error:
            raise RunError(Exit.USAGE, f"{folder} cannot be loaded as a Stable Diffusion 1.5 base: {error}") from error
        self.pipeline.set_progress_bar_config(disable=True)
        for module in (unet, self.pipeline.vae, self.pipeline.text_encoder):
            module.requires_grad_(False).eval()

    def place(self, device: torch.device) -> None:
        """Cast the UNet to the recipe's dtype and move everything to `device`."""
        nn.Module.to(
            self.pipeline.unet, dtype=self.dtype
        )  # diffusers' own warns about modules to keep in float32: none
        self.pipeline.to(device)
        if device.type == "cuda":
            _channels_last(self.pipeline.unet)
            _channels_last(self.pipeline.vae)

    def encode(self, prompt: str) -> Text:
        """Same as the pipeline's `encode_prompt`, which would write overlong prompts into the log."""
        tokenizer, encoder = self.pipeline.tokenizer, self.pipeline.text_encoder
        room = tokenizer.model_max_length
        tokens = tokenizer(prompt, padding="max_length", max_length=room, truncation=True, return_tensors="pt")
        whole = len(tokenizer(prompt, verbose=False).input_ids)
        embeddings = encoder(tokens.input_ids.to(encoder.device))[0][0].to(self.dtype)
        return Text(embeddings, tokens_cut=max(0, whole - room))

    def no_text(self) -> Text:
        """The empty prompt, as the pipeline has it."""
        return self.encode("")


BASES: dict[str, Callable[[Base, Path, Path | None], LoadedBase]] = {"sd15": Sd15Base}


def load(spec: Base) -> LoadedBase:
    """Return the base of a recipe from local folders in diffusers layout. Raises RunError when it cannot be read."""
    vae_folder = weights.locate(spec.vae) if spec.vae else None
    return BASES[spec.kind](spec, weights.locate(spec.weights, spec.revision), vae_folder)


def _stored_dtype(files: Sequence[Path]) -> torch.dtype:
    """Return the dtype the weights have on disk; float32 for pickles, whose tensors cannot be looked at ahead."""
    for path in files:
        if path.suffix == ".safetensors":
            with safe_open(path, "pt") as file:
                stored = file.get_slice(next(iter(file.keys()))).get_dtype()
            return {"F16": torch.float16, "BF16": torch.bfloat16}.get(stored, torch.float32)
    return torch.float32


def _channels_last(module: nn.Module) -> None:
    """Convolutions on GPUs are faster in this layout; results differ by rounding."""
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a documented form that torch's stub lacks
