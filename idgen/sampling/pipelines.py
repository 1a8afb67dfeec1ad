"""Which stock pipeline makes a batch, and what it is called with.

All share the modules of one loaded base: text or image to image, with or without ControlNets.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import diffusers
import torch
from torch import Tensor

from idgen.errors import Exit, RunError
from idgen.networks import transfers
from idgen.recipes.recipe import Control
from idgen.sampling.bases import LoadedBase, Pipeline
from idgen.sampling.conditions import Conditions
from idgen.sampling.controls import Nets, PresentControls
from idgen.sampling.rows import Bucket

CLASSES = {
    ("StableDiffusionPipeline", False, True): "StableDiffusionControlNetPipeline",
    ("StableDiffusionPipeline", True, False): "StableDiffusionImg2ImgPipeline",
    ("StableDiffusionPipeline", True, True): "StableDiffusionControlNetImg2ImgPipeline",
    ("StableDiffusionXLPipeline", False, True): "StableDiffusionXLControlNetPipeline",
    ("StableDiffusionXLPipeline", True, False): "StableDiffusionXLImg2ImgPipeline",
    ("StableDiffusionXLPipeline", True, True): "StableDiffusionXLControlNetImg2ImgPipeline",
    ("KolorsPipeline", True, False): "KolorsImg2ImgPipeline",
}
"""(the base's pipeline, starts from an image, has controls) -> the class in diffusers; the base's own where neither."""
SETTINGS: dict[str, dict[str, bool]] = {
    "StableDiffusionPipeline": {"requires_safety_checker": False},
    "StableDiffusionXLPipeline": {"add_watermarker": False},
    "KolorsPipeline": {},
}
"""The base's own class -> what the others of its family are made with."""


class GivenNoise:
    """Mix-in for the image-to-image pipelines: noise comes from the row, drawn in float32 whatever the dtype.

    The stock method draws it in the UNet's dtype, so a seed would start other pictures in other precisions.
    """

    noise: Tensor

    def prepare_latents(self, image: Tensor, timestep: Tensor, *_rest: Any, **_more: Any) -> Tensor:  # noqa: ANN401
        """Return the start latents `image` [B, 4, h, w] with `noise` of the first timestep, in the UNet's dtype.

        The pipelines with ControlNets bring `image` in float32 whatever it was given in.
        """
        parts: Any = self
        noisy: Tensor = parts.scheduler.add_noise(image.float(), transfers.upload(self.noise, image.device), timestep)
        return noisy.to(parts.unet.dtype)


class KolorsStart:
    """Mix-in for Kolors' image to image, which forgets two things that it is told (diffusers 0.42).

    Of embeddings that are given it drops the pooled ones, and takes every picture for one of 1024 pixels.
    """

    def __call__(self, **words: Any) -> Any:  # noqa: ANN401
        """Same as diffusers', with the size of the start latents."""
        parts: Any = self
        self._pooled = {name: words[name] for name in ("pooled_prompt_embeds", "negative_pooled_prompt_embeds")}
        height, width = (side * parts.vae_scale_factor for side in words["image"].shape[-2:])
        return super().__call__(**words, height=height, width=width)  # type: ignore[misc]

    def encode_prompt(self, **words: Any) -> Any:  # noqa: ANN401
        """Same as diffusers', with the pooled embeddings."""
        return super().encode_prompt(**words | self._pooled)  # type: ignore[misc]


MIX_INS: dict[str, tuple[type, ...]] = {"KolorsImg2ImgPipeline": (GivenNoise, KolorsStart)}
"""Class in diffusers -> what it needs; GivenNoise alone for others that start from an image."""


def check_controls(pipeline: Pipeline, controls: Sequence[Control]) -> None:
    """Raise RunError when there are `controls` and diffusers has no ControlNets for `pipeline`'s family."""
    family = type(pipeline).__name__
    if controls and (family, False, True) not in CLASSES:
        names = ", ".join(control.name for control in controls)
        raise RunError(
            Exit.USAGE, f"diffusers has no ControlNets for {family}: take the recipe's controls out ({names})"
        )


class Pipelines:
    """The pipelines of one loaded recipe, made when a batch needs them."""

    def __init__(self, base: LoadedBase, nets: Nets, controls: Mapping[str, Control]) -> None:
        self._base = base
        self._nets = nets
        self._controls = controls
        self._made: dict[tuple[bool, tuple[str, ...]], Pipeline] = {(False, ()): base.pipeline}

    def get(self, bucket: Bucket) -> Pipeline:
        """Return the pipeline for batches of `bucket`."""
        used = tuple(control.name for control in bucket.controls)
        kind = (bucket.strength is not None, used)
        if kind not in self._made:
            self._made[kind] = self._make(*kind)
        return self._made[kind]

    def arguments(self, conditions: Conditions, bucket: Bucket, device: torch.device) -> dict[str, Any]:
        """Return what the pipeline of `bucket` is called with."""
        words: dict[str, Any] = {
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
            words["latents"] = transfers.upload(conditions.noise, device, self._base.dtype)
            words |= {"image": images} if images else {}
        else:
            words["image"] = transfers.upload(conditions.start, device, self._base.dtype)
            words["strength"] = bucket.strength
            words |= {"control_image": images} if images else {}
        if conditions.start is None or images:
            words |= {"width": bucket.width, "height": bucket.height}
        if images:
            words |= self._control_words(bucket)
        return words

    def _control_words(self, bucket: Bucket) -> dict[str, Any]:
        own = self._controls
        return {
            "controlnet_conditioning_scale": [use.scale for use in bucket.controls],
            "control_guidance_start": [own[u.name].start if u.start is None else u.start for u in bucket.controls],
            "control_guidance_end": [own[u.name].end if u.end is None else u.end for u in bucket.controls],
        }

    def _make(self, from_image: bool, used: tuple[str, ...]) -> Pipeline:
        plain = self._base.pipeline
        family = type(plain).__name__
        stock = getattr(diffusers, CLASSES[family, from_image, bool(used)])
        mix_ins = MIX_INS.get(stock.__name__, (GivenNoise,)) if from_image else ()
        kind = type(stock.__name__, (*mix_ins, stock), {})
        parts = dict(plain.components)
        if used:
            parts["controlnet"] = PresentControls([self._nets[name] for name in used])
        made = kind(**parts, **SETTINGS[family])
        made.set_progress_bar_config(disable=True)
        return made
