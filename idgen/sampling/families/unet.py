"""What bases with a UNet have in common: one of diffusers' pipelines, read, cast, placed, bound and run.

Identities hang in the UNet's cross-attentions (networks/attention.py), whose keys and values are bound once a batch.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

import diffusers
import torch
import transformers
from torch import Tensor, nn

from idgen.adapters.protocol import Adapter
from idgen.errors import Exit, RunError
from idgen.networks import attention
from idgen.recipes.families import FAMILIES, FamilyName, family_of
from idgen.recipes.recipe import Base, Control, Lora
from idgen.sampling import controls, decoding, loras, reading, single_file
from idgen.sampling.caches import Text
from idgen.sampling.conditions import Conditions
from idgen.sampling.controls import Nets
from idgen.sampling.families import cross_attention
from idgen.sampling.families.pipelines import Kinds, Pipelines
from idgen.sampling.families.protocol import TextEncoder, TextSource
from idgen.sampling.parts import Denoiser
from idgen.sampling.prompt_pieces import STOCK, Reading, Tokenizer
from idgen.sampling.reading import DTYPES, Files, Pipeline
from idgen.sampling.rows import Bucket
from idgen.sampling.starts import Starts
from idgen.weights import base_rules
from idgen.weights.headers import dtypes_of

DENOISER_CHANNELS = 4
"""What a plain UNet takes; those for inpainting take 9."""


class UnetBase:
    """Read in the precision that files are stored in; `place` casts, once LoRAs are merged. Follows LoadedBase."""

    FAMILY: ClassVar[FamilyName]
    """base.kind."""
    KINDS: ClassVar[Kinds]
    """diffusers' classes."""
    WITHOUT: ClassVar[Mapping[str, object]]
    """Settings of the text-to-image pipeline that leave out the parts that are not used."""
    TOWERS: ClassVar[tuple[tuple[str, str], ...]]
    """(tokenizer, text encoder) each, of those in the pipeline."""
    UPCASTS: ClassVar[bool]
    """The family's pipelines take heed of a VAE that says it overflows in float16."""

    def __init__(self, spec: Base, texts: TextSource | None = None) -> None:
        """`texts` has the prompts where they were encoded ahead: `place` leaves the text encoders out then.

        They are read all the same, as a LoRA may name them. Raises RunError when files are missing, cannot be read, or
        are not of this family.
        """
        self.dtype = DTYPES[spec.dtype]
        self.prompts: Reading = STOCK
        self.texts = texts
        self.device = torch.device("cpu")
        diffusers.utils.logging.disable_progress_bar()
        transformers.utils.logging.disable_progress_bar()
        files = reading.find(spec)
        single, prefixes = files.weights.is_file(), FAMILIES[self.FAMILY].file_prefixes
        if single:
            single_file.check_parts(files.weights, prefixes, own_vae=not spec.vae)
        unet = self._read_unet(files, spec)
        if not single:
            base_rules.check_texts(files.weights, spec.kind)
        parts = {"unet": unet, "vae": self._read_vae(files, spec)}
        self.pipeline: Pipeline = reading.read_pipeline(
            getattr(diffusers, self.KINDS.plain), files, {**parts, **self.WITHOUT}
        )
        self.pipeline.set_progress_bar_config(disable=True)
        if single:
            single_file.check_texts_read(files.weights, zip(prefixes[1:], self._encoders(), strict=True))
        if files.denoiser.is_file():
            single_file.follow_marks(self.pipeline, files.denoiser)
        base_rules.check_schedule(self.schedule, str(files.config))
        for tokenizer, encoder in self.TOWERS:
            _limit_tokens(getattr(self.pipeline, tokenizer), getattr(self.pipeline, encoder))
        for module in (*parts.values(), *self._encoders()):
            module.requires_grad_(False).eval()

    @classmethod
    def load_encoder(cls, spec: Base, device: torch.device, prompts: Reading) -> TextEncoder:
        """Return the text encoders of a base on `device`, LoRAs merged. The rest is read for the LoRAs, and let go."""
        base = cls(spec)
        base.prompts = prompts
        for lora in spec.loras:
            base.merge_lora(lora)
        return _EncoderAlone(base, device)

    @property
    def denoiser(self) -> Any:  # noqa: ANN401
        """The UNet."""
        return self.pipeline.unet

    @property
    def schedule(self) -> Mapping[str, object]:
        """Settings of the base's own scheduler."""
        return dict(self.pipeline.scheduler.config)

    def merge_lora(self, lora: Lora) -> None:
        """Merge a LoRA into UNet and text encoders, as sampling/loras.py does."""
        loras.merge(self.pipeline, lora)

    def hang(self, adapter: Adapter, files: Sequence[Path]) -> None:
        """Let an adapter hang its branches into the UNet's cross-attentions."""
        adapter.load(cross_attention.host_of(self.denoiser), files)

    def place(self, device: torch.device) -> None:
        """Cast UNet and text encoders to the recipe's dtype and move everything to `device`."""
        if self.texts is not None:
            self.drop(*(part for tower in self.TOWERS for part in tower))
        for module in (self.denoiser, *self._encoders()):
            if module is not None:
                # diffusers' own `to` warns about modules to keep in float32: these have none
                nn.Module.to(module, dtype=self.dtype)
        self.device = device
        self.pipeline.to(device)
        for module in (self.denoiser, self.pipeline.vae):
            if module is not None and device.type == "cuda":
                # convolutions on GPUs are faster in this layout; results differ by rounding
                module.to(memory_format=torch.channels_last)

    def drop(self, *parts: str) -> None:
        """Let go of the pipeline's `parts`."""
        for part in parts:
            setattr(self.pipeline, part, None)

    def load_nets(self, specs: Sequence[Control], contexts: int, device: torch.device) -> Nets:
        """See LoadedBase."""
        self.KINDS.check_controls(specs)
        nets = controls.load(specs, self.dtype, device)
        controls.check_fits(nets, self.denoiser, contexts)
        return nets

    def guided(self, guidance_scale: float) -> bool:
        """See LoadedBase; a UNet that is told the guidance, as LCM's, needs no unconditional rows."""
        return guidance_scale > 1 and self.denoiser.config.time_cond_proj_dim is None

    def encode(self, prompt: str) -> Text:
        """Return a prompt's embeddings, made here or ahead."""
        if self.texts is not None:
            return self.texts.get(prompt).to(self.device, self.dtype)
        return self.encode_here(prompt)

    def encode_here(self, prompt: str) -> Text:
        """Return what the family's text encoders make of a prompt."""
        raise NotImplementedError

    def no_text(self) -> Text:
        """The empty prompt, as the pipelines have it."""
        return self.encode("")

    def noise(self, generator: torch.Generator, bucket: Bucket) -> Tensor:
        """[4, h, w], see LoadedBase."""
        factor = self.pipeline.vae_scale_factor
        channels = self.denoiser.config.in_channels
        return torch.randn(channels, bucket.height // factor, bucket.width // factor, generator=generator)

    def starts(self) -> Starts:
        """See LoadedBase."""
        return Starts(self.pipeline.vae)

    def bind(self, conditions: Conditions, adapters: Sequence[Adapter], nets: Nets) -> None:
        """Make keys and values of text and tokens, in the UNet and in the nets, once for all steps of the batch."""
        cross_attention.bind(self.denoiser, conditions, adapters, nets, self.dtype)

    def unbind(self, nets: Nets) -> None:
        """See LoadedBase."""
        attention.unbind(self.denoiser)
        controls.unbind(nets)

    def denoising(self, nets: Nets, specs: Sequence[Control]) -> Pipelines:
        """See LoadedBase."""
        attention.install(self.denoiser)  # where no adapter has done so
        return Pipelines(self.pipeline, self.KINDS, self.dtype, nets, specs)

    def decode(self, latents: Tensor) -> list[Tensor | None]:
        """See LoadedBase; `latents` [B, 4, h, w]."""
        return decoding.decode(self.pipeline.vae, latents)

    def _encoders(self) -> list[nn.Module]:
        return [getattr(self.pipeline, encoder) for _, encoder in self.TOWERS]

    def _read_unet(self, files: Files, spec: Base) -> nn.Module:
        unet = reading.read_unet(files)
        self._check_family(cast(Denoiser, unet), spec)
        return unet

    def _read_vae(self, files: Files, spec: Base) -> nn.Module:
        vae: Any = reading.read_vae(files, DTYPES[spec.vae_dtype])
        names = dtypes_of(files.vae) if files.vae.is_file() else ()
        base_rules.check_vae(vae.config, spec.kind, spec.vae or spec.weights, names)
        if self.UPCASTS and vae.dtype == torch.float16 and vae.config.force_upcast:
            nn.Module.to(vae, dtype=torch.float32)
        made: nn.Module = vae
        return made

    def _check_family(self, unet: Denoiser, spec: Base) -> None:
        looks_like = family_of(unet.config)
        if looks_like != self.FAMILY:
            raise RunError(
                Exit.USAGE,
                f"the UNet of {spec.unet or spec.weights} does not belong to the family of base.kind={spec.kind}, it "
                f"looks like {looks_like}; correct base.kind, or give weights of that family",
            )
        if unet.config.in_channels != DENOISER_CHANNELS:
            raise RunError(
                Exit.USAGE,
                f"the UNet of {spec.unet or spec.weights} takes {unet.config.in_channels} channels, as inpainting "
                f"bases do; use a plain base, which takes {DENOISER_CHANNELS}",
            )


class _EncoderAlone:
    """The text encoders of a base, without the rest of it; follows TextEncoder."""

    def __init__(self, base: UnetBase, device: torch.device) -> None:
        base.drop("unet", "vae")
        base.place(device)
        self._base = base

    @torch.inference_mode()
    def encode(self, prompt: str) -> Text:
        """Return one prompt's embeddings."""
        return self._base.encode(prompt)


def _limit_tokens(tokenizer: Tokenizer, encoder: transformers.PreTrainedModel) -> None:
    """Let the encoder say how many tokens it has room for where the tokenizer's settings do not."""
    tokenizer.model_max_length = min(tokenizer.model_max_length, encoder.config.max_position_embeddings)
