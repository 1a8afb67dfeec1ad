"""Makes a batch's conditions: what it needs is looked up in the caches, or computed."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from idgen.adapters.protocol import Adapter, Person, Tokens
from idgen.networks import transfers
from idgen.sampling import time_ids
from idgen.sampling.caches import PromptCache, Text, TokenCache, WorkCounts
from idgen.sampling.conditions import Conditions
from idgen.sampling.control_images import control_image
from idgen.sampling.controls import IDENTITY
from idgen.sampling.families.protocol import LoadedBase
from idgen.sampling.rows import Bucket, ControlUse, SampleRow


class Conditioner:
    """The caches of one loaded recipe. `counts` says how often the dear things ran."""

    def __init__(self, base: LoadedBase, adapters: Sequence[Adapter], device: torch.device) -> None:
        self.counts = WorkCounts()
        self.prompts = PromptCache(partial(_encode, base), self.counts)  # a method would make a cycle, see Sampler
        self.tokens = TokenCache(self.counts)
        self.starts = base.starts()
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
        length = max(self._length(row, guided) for row in rows)
        prompt, pooled = self.prompts.get([row.prompt for row in rows], length)
        negatives = [row.negative_prompt for row in rows]
        negative, negative_pooled = self.prompts.get(negatives, length) if guided else (None, None)
        made = [self._tokens(adapter, rows) for adapter in self._adapters]
        controls = _counting(rows, bucket)
        return Conditions(
            prompt=prompt,
            negative=negative,
            pooled=pooled,
            negative_pooled=negative_pooled,
            tokens=[_halves([(one.cond, one.uncond) for one in tokens], guided) for tokens in made],
            scales=[
                self._strengths([row.scale(adapter.name, at) for row in rows], guided).view(-1, 1, 1)
                for at, adapter in enumerate(self._adapters)
            ],
            context=_context(made, guided),
            identity_scale=self._strengths([row.identity_scale for row in rows], guided),
            noise=torch.stack([self._base.noise(generator, bucket) for generator in generators]),
            start=torch.stack(starts) if starts else None,
            controls=controls,
            control_images=[torch.stack([control_image(use.name, row) for row in rows]) for use in controls],
            generators=generators,
            time_ids=self._time_ids(rows, bucket, guided),
        )

    @torch.inference_mode()
    def alike(self, rows: Sequence[SampleRow], guided: bool) -> list[list[int]]:
        """Return the numbers of the rows in groups of one length of text; all in one, where no prompt is in pieces."""
        groups: dict[int, list[int]] = {}
        for number, row in enumerate(rows):
            groups.setdefault(self._length(row, guided), []).append(number)
        return list(groups.values())

    @torch.inference_mode()
    def warnings(self, rows: Sequence[SampleRow], guided: bool) -> list[list[str]]:
        """Return what to tell about each row of a sampled batch: prompts too long for the text encoder."""
        kinds = ("prompt", "negative_prompt") if guided else ("prompt",)
        notes = []
        for row in rows:
            cut = {kind: self.prompts.tokens_cut(getattr(row, kind)) for kind in kinds}
            notes.append([f"{kind}_cut: the last {n} tokens have no effect" for kind, n in cut.items() if n])
        return notes

    def clear(self) -> None:
        """Empty the caches."""
        for cache in (self.prompts, self.tokens, self.starts):
            cache.clear()
        for adapter in self._adapters:
            adapter.forget()

    def _length(self, row: SampleRow, guided: bool) -> int:
        """Return how long a row's embeddings are: its prompt's and its negative prompt's, whichever is longer."""
        return max(map(self.prompts.length, (row.prompt, row.negative_prompt) if guided else (row.prompt,)))

    def _tokens(self, adapter: Adapter, rows: Sequence[SampleRow]) -> list[Tokens]:
        return [self.tokens.get(adapter, Person(row.id_embedding, row.crops), row.options) for row in rows]

    def _strengths(self, strengths: Sequence[float], guided: bool) -> Tensor:
        """[R] of a number per row: unconditional rows are as strong as their conditional ones."""
        return transfers.upload(torch.tensor([*strengths, *(strengths if guided else ())]), self._device)

    def _time_ids(self, rows: Sequence[SampleRow], bucket: Bucket, guided: bool) -> Tensor | None:
        """[R, 6]: unconditional rows are told the same, as in the pipelines unless they are told otherwise."""
        ids = time_ids.of_rows(rows, bucket)
        return None if ids is None else transfers.upload(ids.repeat(1 + guided, 1), self._device)


def _encode(base: LoadedBase, prompt: str | None) -> Text:
    return base.no_text() if prompt is None else base.encode(prompt)


def _counting(rows: Sequence[SampleRow], bucket: Bucket) -> tuple[ControlUse, ...]:
    """Return the controls that change some row; what a net makes times 0 need not be made."""
    shown = any(row.identity_scale != 0 for row in rows)
    return tuple(use for use in bucket.controls if (shown if use.name == IDENTITY else use.scale != 0))


def _context(made: Sequence[Sequence[Tokens]], guided: bool) -> Tensor | None:
    """[R, P, T, D] of the adapter that gives contexts; the recipe has one at most that a net looks at."""
    for tokens in made:
        contexts = [one.context for one in tokens if one.context is not None]
        if contexts:
            return _halves(contexts, guided)
    return None


def _halves(pairs: Sequence[tuple[Tensor, Tensor]], guided: bool) -> Tensor:
    """[R, ...] of each row's conditional and unconditional tensors: the unconditional ones, if any, come first."""
    return torch.stack([*(uncond for _, uncond in pairs if guided), *(cond for cond, _ in pairs)])
