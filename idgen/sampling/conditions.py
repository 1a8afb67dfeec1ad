"""From rows to tensors: everything the denoiser gets for one batch, looked up in the caches or made."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from idgen.adapters.protocol import Adapter, Person
from idgen.sampling.bases import LoadedBase
from idgen.sampling.caches import Counts, PromptCache, Text, TokenCache
from idgen.sampling.rows import Bucket, SampleRow
from idgen.sampling.starts import Starts


@dataclass(frozen=True, kw_only=True, slots=True)
class Conditions:
    """Everything the denoiser gets, B rows; R = 2B with guidance (unconditional rows first), else B."""

    prompt: Tensor
    """[B, L, D]."""
    negative: Tensor | None = None
    """[B, L, D], None without guidance."""
    pooled: Tensor | None = None
    """[B, P], SDXL only."""
    negative_pooled: Tensor | None = None
    tokens: list[Tensor]
    """Per adapter [R, n, T, D], float32."""
    scales: list[Tensor]
    """Per adapter [R, 1, 1], float32."""
    noise: Tensor
    """[B, 4, h, w], float32, unit variance, on the CPU."""
    start: Tensor | None = None
    """[B, 4, h, w], float32: latents of the start pictures, None when the noise is the start."""
    control_images: list[Tensor]
    """Per control of the bucket [B, 3, H, W] in 0..1, float32, on the CPU."""
    generators: list[torch.Generator]
    """Per row, as they stand after `noise` was drawn."""


class Conditioner:
    """The caches of one loaded recipe. `counts` says how often the dear things ran."""

    def __init__(self, base: LoadedBase, adapters: Sequence[Adapter], device: torch.device) -> None:
        self.counts = Counts()
        self.prompts = PromptCache(partial(_encode, base), self.counts)  # a method would make a cycle, see Sampler
        self.tokens = TokenCache(self.counts)
        self.starts = Starts(base.pipeline.vae)
        self._base = base
        self._adapters = list(adapters)
        self._device = device

    @torch.inference_mode()
    def condition(self, rows: Sequence[SampleRow], bucket: Bucket, guided: bool) -> Conditions:
        """Return what `rows` need; `guided` = with unconditional rows."""
        generators = [torch.Generator().manual_seed(row.seed) for row in rows]
        # as diffusers draws: first from what the encoder gives, then the noise
        starts = [
            self.starts.get(row.init_image, generator)
            for row, generator in zip(rows, generators, strict=True)
            if bucket.strength is not None and row.init_image is not None
        ]
        prompt, pooled = self.prompts.get([row.prompt for row in rows])
        negative, negative_pooled = self.prompts.get([row.negative_prompt for row in rows]) if guided else (None, None)
        return Conditions(
            prompt=prompt,
            negative=negative,
            pooled=pooled,
            negative_pooled=negative_pooled,
            tokens=[self._tokens(adapter, rows, guided) for adapter in self._adapters],
            scales=[self._scales(adapter, at, rows, guided) for at, adapter in enumerate(self._adapters)],
            noise=torch.stack([self._noise(generator, bucket) for generator in generators]),
            start=torch.stack(starts) if starts else None,
            control_images=[_control_images(control.name, rows) for control in bucket.controls],
            generators=generators,
        )

    @torch.inference_mode()
    def warnings(self, rows: Sequence[SampleRow], guided: bool) -> list[list[str]]:
        """Return what to tell about each row of a sampled batch: prompts too long for the text encoder."""
        kinds = ("prompt", "negative_prompt") if guided else ("prompt",)
        notes = []
        for row in rows:
            cut = {kind: self.prompts.tokens_cut(getattr(row, kind)) for kind in kinds}
            notes.append([f"{kind}_cut: the last {n} tokens are not read" for kind, n in cut.items() if n])
        return notes

    def clear(self) -> None:
        """Empty the caches."""
        for cache in (self.prompts, self.tokens, self.starts):
            cache.clear()
        for adapter in self._adapters:
            adapter.forget()

    def _tokens(self, adapter: Adapter, rows: Sequence[SampleRow], guided: bool) -> Tensor:
        made = [self.tokens.get(adapter, Person(row.id_embedding, row.crops), row.options) for row in rows]
        unconditional = [one.uncond for one in made] if guided else []
        return torch.stack([*unconditional, *(one.cond for one in made)])

    def _scales(self, adapter: Adapter, position: int, rows: Sequence[SampleRow], guided: bool) -> Tensor:
        strengths = [row.scale(adapter.name, position) for row in rows] * (2 if guided else 1)
        return torch.tensor(strengths).view(-1, 1, 1).to(self._device)

    def _noise(self, generator: torch.Generator, bucket: Bucket) -> Tensor:
        """[4, h, w] in float32 whatever the dtype: the same seed starts the same picture on every machine."""
        factor = self._base.pipeline.vae_scale_factor
        channels = self._base.pipeline.unet.config.in_channels
        return torch.randn(channels, bucket.height // factor, bucket.width // factor, generator=generator)


def _encode(base: LoadedBase, prompt: str | None) -> Text:
    return base.no_text() if prompt is None else base.encode(prompt)


def _control_images(name: str, rows: Sequence[SampleRow]) -> Tensor:
    stacked = torch.stack([torch.from_numpy(row.control_images[name].copy()) for row in rows])
    return stacked.permute(0, 3, 1, 2).float() / 255
