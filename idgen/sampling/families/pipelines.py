"""Which stock pipeline makes a batch, and what it is called with.

All share the modules of one loaded base: text or image to image, with or without ControlNets.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import diffusers
import torch
from torch import Tensor

from idgen.errors import Exit, RunError
from idgen.networks import transfers
from idgen.recipes.recipe import Control
from idgen.sampling import time_ids
from idgen.sampling.conditions import Conditions
from idgen.sampling.controls import Nets, PresentControls
from idgen.sampling.families.protocol import OnStep
from idgen.sampling.reading import Pipeline
from idgen.sampling.rows import Bucket


class GivenNoise:
    """Mix-in for the image-to-image pipelines: noise comes from the row, drawn in float32 whatever the dtype.

    The stock method draws it in the UNet's dtype, so a seed would start other pictures in other precisions.
    """

    noise: Tensor

    def prepare_latents(self, image: Tensor, timestep: Tensor, *_rest: object, **_more: object) -> Tensor:
        """Return the start latents `image` [B, 4, h, w] with `noise` of the first timestep, in the UNet's dtype.

        The pipelines with ControlNets bring `image` in float32 whatever it was given in.
        """
        parts: Any = self
        noisy: Tensor = parts.scheduler.add_noise(image.float(), transfers.upload(self.noise, image.device), timestep)
        return noisy.to(parts.unet.dtype)


@dataclass(frozen=True, kw_only=True, slots=True)
class Kinds:
    """The classes in diffusers of one family, and what they are made with."""

    plain: str
    """Text to image, with which a base is read."""
    from_image: str
    controlled: str = ""
    """With ControlNets; empty = diffusers has none."""
    from_image_controlled: str = ""
    settings: Mapping[str, bool] = field(default_factory=dict)
    """What all but `plain` are made with."""
    start_mix_ins: tuple[type, ...] = (GivenNoise,)
    """Of those that start from an image."""

    def check_controls(self, controls: Sequence[Control]) -> None:
        """Raise RunError when there are `controls` and diffusers has no ControlNets for this family."""
        if controls and not self.controlled:
            names = ", ".join(control.name for control in controls)
            raise RunError(
                Exit.USAGE,
                f"diffusers has no ControlNets for {self.plain}: remove the controls from the recipe ({names})",
            )

    def name(self, from_image: bool, controlled: bool) -> str:
        """Return the class for batches of one kind."""
        if from_image:
            return self.from_image_controlled if controlled else self.from_image
        return self.controlled if controlled else self.plain


class Pipelines:
    """The pipelines of one loaded recipe, made when a batch needs them."""

    def __init__(
        self, plain: Pipeline, kinds: Kinds, dtype: torch.dtype, nets: Nets, controls: Sequence[Control]
    ) -> None:
        """`plain` is the loaded base's own, `dtype` its UNet's; `nets` belong to the recipe's `controls`."""
        self._plain = plain
        self._kinds = kinds
        self._dtype = dtype
        self._nets = nets
        self._controls = {control.name: control for control in controls}
        self._made: dict[tuple[bool, tuple[str, ...]], Pipeline] = {(False, ()): plain}

    def run(self, conditions: Conditions, bucket: Bucket, scheduler: object, on_step: OnStep | None) -> Tensor:
        """Return the last latents [B, 4, h, w], see idgen.sampling.families.protocol.Denoising."""
        pipeline = self.get(bucket)
        pipeline.scheduler = scheduler
        if conditions.start is not None:
            pipeline.noise = conditions.noise
        unet = self._plain.unet
        with time_ids.told([unet, *self._nets.values()], conditions.time_ids):
            result = pipeline(
                **self.arguments(conditions, bucket, unet.device),
                callback_on_step_end=_forward_steps(on_step) if on_step else None,
            )
        latents: Tensor = result[0]
        return latents

    def get(self, bucket: Bucket) -> Pipeline:
        """Return the pipeline for batches of `bucket`."""
        used = tuple(control.name for control in bucket.controls)
        kind = (bucket.strength is not None, used)
        if kind not in self._made:
            self._made[kind] = self._make(*kind)
        return self._made[kind]

    def arguments(self, conditions: Conditions, bucket: Bucket, device: torch.device) -> dict[str, object]:
        """Return what the pipeline of `bucket` is called with."""
        words: dict[str, object] = {
            "prompt_embeds": conditions.prompt,
            "negative_prompt_embeds": conditions.negative,
            "generator": conditions.generators,
            "num_inference_steps": bucket.num_inference_steps,
            "guidance_scale": bucket.guidance_scale,
            "output_type": "latent",
            "return_dict": False,
        }
        if conditions.pooled is not None:
            words["pooled_prompt_embeds"] = conditions.pooled
            words["negative_pooled_prompt_embeds"] = conditions.negative_pooled
        images = [transfers.upload(image, device) for image in conditions.control_images]
        if conditions.start is None:
            words["latents"] = transfers.upload(conditions.noise, device, self._dtype)
            words |= {"image": images} if images else {}
        else:
            words["image"] = transfers.upload(conditions.start, device, self._dtype)
            words["strength"] = bucket.strength
            words |= {"control_image": images} if images else {}
        if conditions.start is None or images:
            words |= {"width": bucket.width, "height": bucket.height}
        if images:
            words |= self._control_words(bucket)
        return words

    def _control_words(self, bucket: Bucket) -> dict[str, object]:
        own = self._controls
        return {
            "controlnet_conditioning_scale": [use.scale for use in bucket.controls],
            "control_guidance_start": [own[u.name].start if u.start is None else u.start for u in bucket.controls],
            "control_guidance_end": [own[u.name].end if u.end is None else u.end for u in bucket.controls],
        }

    def _make(self, from_image: bool, used: tuple[str, ...]) -> Pipeline:
        stock = getattr(diffusers, self._kinds.name(from_image, bool(used)))
        mix_ins = self._kinds.start_mix_ins if from_image else ()
        kind = type(stock.__name__, (*mix_ins, stock), {})
        parts = dict(self._plain.components)
        if used:
            parts["controlnet"] = PresentControls([self._nets[name] for name in used])
        made = kind(**parts, **self._kinds.settings)
        made.set_progress_bar_config(disable=True)
        return made


def _forward_steps(on_step: OnStep) -> Callable[..., dict[str, Tensor]]:
    def forward(_pipeline: object, step: int, _timestep: object, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Hand a step's latents on; what diffusers calls."""
        on_step(step, tensors["latents"])
        return tensors

    return forward
