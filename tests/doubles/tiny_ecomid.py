"""EcomID with IdentityNet and EcomXL's two nets, on the tiny weights, and rows that differ in every field."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from doubles.tiny_recipe import bucket_for, ecomxl, five_points, identity_net, picture, recipe, row_for

from idgen.recipes.recipe import Recipe
from idgen.sampling.rows import Bucket, ControlUse, SampleRow
from idgen.sampling.sampler import Sampler

NETS = ("identity", "inpaint", "softedge")
ECOMID: Recipe = recipe("ecomid", controls=[identity_net(), ecomxl("inpaint", context="face"), ecomxl("softedge")])
USES = tuple(ControlUse(name=name, scale=scale) for name, scale in zip(NETS, (1.0, 0.5, 0.6), strict=True))
BUCKET = bucket_for(ECOMID, controls=USES, num_inference_steps=2)
FROM_IMAGE = replace(BUCKET, strength=0.6, num_inference_steps=4)


TOLERANCE = 4e-4
"""For latents of 10 or so, as in tests/sampling/test_variants.py."""


def latents(sampler: Sampler, rows: Sequence[SampleRow], bucket: Bucket = BUCKET) -> torch.Tensor:
    """[B, 4, h, w] after the last step."""
    return sampler.denoise(sampler.condition(rows, bucket), bucket)


def difference(one: torch.Tensor, other: torch.Tensor) -> float:
    """The largest of all."""
    return (one - other).abs().max().item()


def image(number: int) -> np.ndarray:
    """[64, 64, 3]."""
    return picture(number, 1, 64)[0]


def mask(number: int) -> np.ndarray:
    """[64, 64]: the upper part is kept, another height for every number."""
    white = np.zeros((64, 64), np.uint8)
    white[8 * number :] = 255
    return white


def a_row(number: int, **changes) -> SampleRow:
    """A row of person `number` with what all three nets look at."""
    return row_for(
        ECOMID, number,
        **{"seed": 10**number, "init_image": image(number), "mask": mask(number),
           "control_images": {"identity": five_points(number), "softedge": image(10 + number)}, **changes},
    )  # fmt: skip


# no field is the same in any two rows
ROWS = [
    a_row(1, prompt="a woman in a garden", negative_prompt="lowres", identity_scale=0.8, ip_adapter_scale=0.4),
    a_row(2, prompt="neon street at night", negative_prompt="", identity_scale=0.3, ip_adapter_scale=1.0),
    a_row(3, prompt="", negative_prompt="bad anatomy", identity_scale=0.0, ip_adapter_scale=0.0),
]
