"""What a family of base models brings: everything that the sampler asks of a base, whatever its denoiser is.

Nobody outside of this folder knows what a denoiser is made of. What is known of a family without torch is its line in
recipes/families.py; a new one is that line, a file here, and a line in table.py. Stable Diffusion 1.5, SDXL and Kolors
have a UNet, a VAE and diffusers' pipelines in common: unet.py.

A transformer can be the next one. FLUX.2 klein has no cross-attention, packed latents with position ids, references as
further tokens, and a text encoder of 512 rows; it would meet this protocol so:

- reading: `Flux2Transformer2DModel`, `AutoencoderKLFlux2` and Qwen3 from a folder; `transformer` is its line's
  `denoiser`. Of Qwen3 the first 28 layers are enough.
- `merge_lora`: adds up @ down itself, as diffusers passes over names that it does not know (fused qkv, swapped halves).
- `hang`: raises RunError. No kind of adapter has it among its `families`: people come in as pictures, so its recipes
  have no adapters, and `table.make_all` gives none.
- `load_nets`: raises RunError where there are any; its line says `controls=False`.
- `encode`: [512, 7680] of layers 9, 18 and 27, no pooled text. All rows differ, so nothing folds: 7.9 MB a prompt, for
  which `text_ahead=False` is right. `no_text` is the encoded "".
- `guided`: false for the distilled model whatever the scale is.
- `noise`: [128, h/16, w/16], a patch of 2 x 2 latents per token; `packs` it as [h/16 * w/16, 128] in `denoise`.
- `starts`: a cache of references' tokens, by picture: the posterior's mode, normalised by the VAE's running statistics.
  They need a field in Conditions, [B, n tokens, 128] with one set of position ids for the batch: rows of a bucket have
  the same number of references of the same prepared sizes (T = 10, 20, … tells them apart).
- `bind`, `unbind`: nothing. Keys and values of text change at every step, as text and picture attend to each other.
- `denoising`: a subclass of `Flux2KleinPipeline` whose `prepare_image_latents` returns what was bound; `run` gives it
  sigmas that depend on the size, so the recipe names a scheduler of its own (`flow_euler`, FlowMatchEuler).
- `decode`: unpacks, undoes the running statistics in float32, decodes.
- `denoiser`: the transformer; blocks are compiled and calls are counted through it, as with a UNet.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from idgen.adapters.protocol import Adapter
from idgen.recipes.families import FamilyName
from idgen.recipes.recipe import Base, Control, Lora
from idgen.sampling.caches import Text
from idgen.sampling.conditions import Conditions
from idgen.sampling.controls import Nets
from idgen.sampling.prompt_pieces import Reading
from idgen.sampling.rows import Bucket

OnStep = Callable[[int, Tensor], None]
"""Called after every scheduler step with its number and the latents."""


class TextSource(Protocol):
    """What a base that has no text encoder asks instead."""

    def get(self, prompt: str) -> Text:
        """Return what the text encoder made of `prompt`, on the CPU. Raises RowError."""
        ...


class TextEncoder(Protocol):
    """A text encoder without the rest of its base."""

    def encode(self, prompt: str) -> Text:
        """Return one prompt's embeddings."""
        ...


class StartCache(Protocol):
    """Start pictures as the denoiser knows them, each encoded once."""

    encodings: int
    """Pictures that went through the encoder."""

    def get(self, image: NDArray[np.uint8], generator: torch.Generator) -> Tensor:
        """Return latents [C, h, w] of `image` [H, W, 3], float32, drawn with `generator`."""
        ...

    def clear(self) -> None:
        """Forget all pictures."""
        ...


class Denoising(Protocol):
    """The way from conditions to the last latents, beside one set of nets."""

    def run(self, conditions: Conditions, bucket: Bucket, scheduler: object, on_step: OnStep | None) -> Tensor:
        """Return the last latents [B, C, h, w] of a batch that is bound, in the denoiser's dtype on the device.

        `bucket.controls` are those that are run.
        """
        ...


class LoadedBase(Protocol):
    """One loaded base. Its methods are called in this order: those of loading once, those of a batch for each."""

    FAMILY: ClassVar[FamilyName]
    pipeline: Any
    """diffusers' plain text-to-image pipeline, which holds all parts; what is in it only the family knows."""
    dtype: torch.dtype
    """Of the denoiser and of all embeddings."""
    prompts: Reading
    """How `encode` reads a prompt; set before the first one."""

    # loading
    def merge_lora(self, lora: Lora) -> None:
        """Merge a LoRA of the base, for good. Raises RunError when it does not fit."""
        ...

    def hang(self, adapter: Adapter, files: Sequence[Path]) -> None:
        """Let an adapter read its `files` and hang itself into the denoiser. Raises RunError when they do not fit."""
        ...

    def place(self, device: torch.device) -> None:
        """Cast to the recipe's dtypes and move; call when LoRAs are merged and adapters hang."""
        ...

    def load_nets(self, controls: Sequence[Control], contexts: int, device: torch.device) -> Nets:
        """Return the recipe's ControlNets on `device`; `contexts` counts the adapters that give a context.

        Raises RunError when one cannot be read, or cannot work beside this base.
        """
        ...

    @property
    def denoiser(self) -> Any:  # noqa: ANN401
        """The network that is called at every step: diffusers' ModelMixin."""
        ...

    @property
    def schedule(self) -> Mapping[str, object]:
        """Settings of the base's own scheduler."""
        ...

    # a batch
    def guided(self, guidance_scale: float) -> bool:
        """Return whether there are unconditional rows: the pipelines' own rule for classifier-free guidance."""
        ...

    def encode(self, prompt: str) -> Text:
        """Return one prompt's embeddings on the device."""
        ...

    def no_text(self) -> Text:
        """Return what stands for no prompt at all: a negative prompt that is null."""
        ...

    def noise(self, generator: torch.Generator, bucket: Bucket) -> Tensor:
        """Return a picture's noise [C, h, w] in float32 on the CPU: the same on every machine, whatever the dtype."""
        ...

    def starts(self) -> StartCache:
        """Return an empty cache of start pictures."""
        ...

    def bind(self, conditions: Conditions, adapters: Sequence[Adapter], nets: Nets) -> None:
        """Make whatever is the same in all steps of the batch, in the denoiser and in the `nets`."""
        ...

    def unbind(self, nets: Nets) -> None:
        """Let go of what the last batch bound."""
        ...

    def denoising(self, nets: Nets, controls: Sequence[Control]) -> Denoising:
        """Return what runs batches beside `nets`, which belong to the recipe's `controls`."""
        ...

    def decode(self, latents: Tensor) -> list[Tensor | None]:
        """Return a uint8 picture [H, W, 3] on the CPU per row of `latents`, None where it is not finite."""
        ...


@dataclass(frozen=True, slots=True)
class Reader:
    """How bases of a family come from local files: a line of table.py.

    Both raise RunError when files are missing, cannot be read, or are not of this family.
    """

    load: Callable[[Base, TextSource | None], LoadedBase]
    """Makes a base, not cast yet, no LoRA merged; with texts that were made ahead it needs no text encoder."""
    load_encoder: Callable[[Base, torch.device, Reading], TextEncoder]
    """Makes what encodes prompts ahead: the text encoder on a device, LoRAs merged, without the rest of its base."""
    class_name: Callable[[bool, bool], str]
    """Names diffusers' class for batches that start from an image or not, beside ControlNets or not."""
    without: Mapping[str, object]
    """Settings of the text-to-image one that leave out the parts that are not used."""
