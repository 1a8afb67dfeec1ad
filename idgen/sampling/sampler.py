"""Samples one batch: tokens and prompts from the caches, the denoiser step by step, decode.

A row's picture does not depend on the rows beside it (beyond rounding): every row has its own generator, prompt,
negative prompt, people and scales; everything else is the bucket's.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from idgen import weights
from idgen.adapters import table
from idgen.adapters.protocol import Adapter
from idgen.errors import Code, RowError
from idgen.machine_faults import is_shortage
from idgen.recipes.recipe import Recipe
from idgen.sampling import bases, schedulers
from idgen.sampling.batches import OutOfMemory
from idgen.sampling.conditioner import Conditioner
from idgen.sampling.conditions import Conditions
from idgen.sampling.controls import Nets
from idgen.sampling.families.protocol import LoadedBase, OnStep, TextSource
from idgen.sampling.memory import give_back_memory, loading
from idgen.sampling.prompt_pieces import Reading
from idgen.sampling.rows import Bucket, SampleRow

RECOMPILE_LIMIT = 64
"""Every count of rows, with and without guidance, and every size is a graph of its own; dynamo gives up after 8."""


class Sampler:
    """One loaded recipe. `sample` is all a caller needs; `condition` and `denoise` are its two halves, for tests."""

    def __init__(
        self,
        base: LoadedBase,
        adapters: Sequence[Adapter],
        device: torch.device,
        *,
        nets: Nets | None = None,
        recipe: Recipe | None = None,
    ) -> None:
        """`nets` are the ControlNets that `recipe` names; without a recipe there are none."""
        recipe = recipe or Recipe()
        self.compiled = False
        self.base = base
        self.pipeline = base.pipeline
        self.adapters = list(adapters)
        self.device = device
        self.conditioner = Conditioner(base, adapters, device)
        self.counts = self.conditioner.counts
        self.nets = nets or {}
        self.denoising = base.denoising(self.nets, recipe.controls)
        self._base_schedule = base.schedule
        self._spacing = recipe.timestep_spacing

    @classmethod
    def load(
        cls,
        recipe: Recipe,
        *,
        lora_scale: float,
        device: str,
        compile: bool = False,  # noqa: A002
        texts: TextSource | None = None,
    ) -> "Sampler":
        """Load the recipe's base and adapters from local files; `compile` compiles the denoiser's repeated blocks.

        `texts` has the prompts where they were encoded ahead: the text encoder is not loaded then. Raises RunError when
        weights are missing, do not fit each other, or do not fit the device.
        """
        with loading(f"recipe {recipe.name}", device):
            sampler = cls._load(recipe, lora_scale, torch.device(device), texts)
            if compile:
                sampler.compile_blocks()
            return sampler

    @classmethod
    def _load(cls, recipe: Recipe, lora_scale: float, device: torch.device, texts: TextSource | None) -> "Sampler":
        base = bases.load(recipe.base, texts)
        base.prompts = Reading.of(recipe)
        adapters = table.make_all(recipe.adapters, lora_scale, base.dtype)
        for adapter, spec in zip(adapters, recipe.adapters, strict=True):
            context = [weights.locate(spec.context_weights)] if spec.context_weights else []
            base.hang(adapter, [weights.locate(spec.weights, spec.revision), *context])
            adapter.to(device)
        base.place(device)
        nets = base.load_nets(recipe.controls, sum(adapter.gives_context for adapter in adapters), device)
        for net in (base.denoiser, *nets.values()):
            schedulers.queue_timesteps(net)
        return cls(base, adapters, device, nets=nets, recipe=recipe)

    def compile_blocks(self, **options: object) -> None:
        """Compile the denoiser's repeated blocks on their first use; `options` are torch.compile's."""
        self.base.denoiser.compile_repeated_blocks(fullgraph=True, **options)
        self.compiled = True

    def sample(self, rows: Sequence[SampleRow], bucket: Bucket) -> list[NDArray[np.uint8] | RowError]:
        """Return each row's picture, uint8 [H, W, 3], or RowError(NON_FINITE) for a row that did not decode.

        Raises OutOfMemory when the batch does not fit, not even with empty caches; nothing of it is kept.
        """
        self.counts.sampler_calls += 1
        for _ in range(2):
            try:
                return self._pictures(rows, bucket)
            except (RuntimeError, MemoryError) as error:
                if not is_shortage(error):
                    raise
                detail = str(error).partition("\n")[0] or type(error).__name__
            # outside of `except`, where the error's frames would keep the batch's tensors alive
            self.conditioner.clear()
            self.release()
        raise OutOfMemory(detail)

    @torch.inference_mode()
    def _pictures(self, rows: Sequence[SampleRow], bucket: Bucket) -> list[NDArray[np.uint8] | RowError]:
        """Sample rows whose texts are of one length together, so that no row's depends on the rows beside it."""
        made: dict[int, NDArray[np.uint8] | RowError] = {}
        for numbers in self.conditioner.alike(rows, self.guided(bucket)):
            pictures = self._together([rows[number] for number in numbers], bucket)
            made.update(zip(numbers, pictures, strict=True))
        return [made[number] for number in range(len(rows))]

    def _together(self, rows: Sequence[SampleRow], bucket: Bucket) -> list[NDArray[np.uint8] | RowError]:
        latents = self.denoise(self.condition(rows, bucket), bucket)
        return [
            RowError(Code.NON_FINITE, "the decoded picture is not finite") if picture is None else picture.numpy()
            for picture in self.base.decode(latents)
        ]

    def warnings(self, rows: Sequence[SampleRow], bucket: Bucket) -> list[list[str]]:
        """Return what to tell about each row of a sampled batch."""
        return self.conditioner.warnings(rows, self.guided(bucket))

    def condition(self, rows: Sequence[SampleRow], bucket: Bucket) -> Conditions:
        """Look up or make what the rows need: embeddings, tokens, scales, noise, images."""
        return self.conditioner.condition(rows, bucket, self.guided(bucket))

    @torch.inference_mode()
    def denoise(self, conditions: Conditions, bucket: Bucket, on_step: OnStep | None = None) -> Tensor:
        """Run all steps; return the last latents [B, C, h, w], in the denoiser's dtype on the device."""
        if self.compiled:  # here, because the setting is the thread's own and actors' threads change
            torch._dynamo.config.recompile_limit = RECOMPILE_LIMIT
        self.bind(conditions)
        bucket = replace(bucket, controls=conditions.controls)
        scheduler = schedulers.make(bucket.scheduler, self._base_schedule, self._spacing)
        return self.denoising.run(conditions, bucket, scheduler, on_step)

    def bind(self, conditions: Conditions) -> None:
        """Make whatever is the same in all steps of the batch, in the denoiser and in the nets."""
        self.base.bind(conditions, self.adapters, self.nets)

    def guided(self, bucket: Bucket) -> bool:
        """Tell whether rows of `bucket` have unconditional ones beside them."""
        return self.base.guided(bucket.guidance_scale)

    def release(self) -> None:
        """Let go of the last batch's tensors and of the device memory they held."""
        self.base.unbind(self.nets)
        give_back_memory(self.device)
