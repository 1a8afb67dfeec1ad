"""Adapters of the tiny world for tests: loaded into UNets of their own, as the sampler does it."""

from functools import lru_cache

import torch
from diffusers import UNet2DConditionModel
from doubles.tiny_recipe import adapter as spec_of

from idgen.adapters.ip_adapter import IpAdapter
from idgen.networks.image_encoder import ImageEncoder
from idgen.recipes.recipe import AdapterSpec
from idgen.recipes.variants import VARIANTS
from idgen.sampling.families.cross_attention import host_of
from idgen.tiny import world

IP_KINDS = [kind for kind, variant in VARIANTS.items() if kind != "instantid" and variant.pulid is None]
"""Those that IpAdapter reads."""


def fresh_unet(family: str = "sd15") -> UNet2DConditionModel:
    """The tiny base's UNet in float32."""
    return UNet2DConditionModel.from_pretrained(world.locate(family) / "unet", dtype=torch.float32)


@lru_cache
def encoder(location: str) -> ImageEncoder | None:
    """The tiny encoder at `tiny:<name>`, one for all tests; None for ""."""
    return ImageEncoder.load(world.locate(location.removeprefix("tiny:")), torch.float32) if location else None


def load(name: str, family: str = "sd15", *, lora_scale: float = 1.0) -> IpAdapter:
    """The adapter of a tiny file (`doubles.tiny_recipe.adapter` has the names), in a UNet that is thrown away."""
    spec = spec_of(name, family)
    made = IpAdapter(spec, lora_scale=lora_scale, encoder=encoder(spec.image_encoder))
    made.load(host_of(fresh_unet(family)), [path_of(spec)])
    return made


def path_of(spec: AdapterSpec):
    """Where the tiny file of a recipe's entry lies."""
    return world.locate(spec.weights.removeprefix("tiny:"))
