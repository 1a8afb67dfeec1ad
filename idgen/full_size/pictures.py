"""Rows to sample without photos: distinct people, prompts and pictures for whatever a recipe needs; its texts too."""

import json
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from idgen import weights
from idgen.faces import keypoints
from idgen.recipes.recipe import Recipe
from idgen.recipes.variants import needs
from idgen.sampling.caches import Text
from idgen.sampling.controls import IDENTITY, INPAINT
from idgen.sampling.rows import Bucket, ControlUse, SampleRow
from idgen.schemas import EMBEDDING_WIDTH

FACE = ((0.40, 0.38), (0.60, 0.38), (0.50, 0.50), (0.42, 0.62), (0.58, 0.62))
"""Eyes, nose, corners of the mouth in shares of the picture."""
SQUARES = 4
"""A crop has so many coloured squares a side: noise pixel by pixel looks the same to every encoder."""


class RandomTexts:
    """Embeddings of prompts as a text encoder would have made them ahead; follows TextSource."""

    def __init__(self, width: int, tokens: int = 256) -> None:
        self._shape = (tokens, width)

    def get(self, prompt: str) -> Text:
        """Return the same for the same prompt."""
        numbers = torch.Generator().manual_seed(sum(prompt.encode()))
        states = torch.randn(self._shape, generator=numbers)
        return Text(states, pooled=torch.randn(self._shape[1], generator=numbers))


def texts_for(recipe: Recipe) -> RandomTexts | None:
    """Return texts as wide as the recipe's UNet wants them; None where the sampler encodes them itself."""
    if not recipe.base.text_ahead:
        return None
    config = weights.locate(recipe.base.weights, recipe.base.revision) / "unet" / "config.json"
    return RandomTexts(json.loads(config.read_text())["encoder_hid_dim"])


def bucket_for(recipe: Recipe, *, all_controls: bool = False) -> Bucket:
    """Return the bucket of rows that say nothing, with IdentityNet where the recipe has it; `replace` what differs.

    With `all_controls` each of the recipe's nets has its picture.
    """
    facts = recipe.defaults
    shown = tuple(
        ControlUse(name=control.name, scale=1.0)
        for control in recipe.controls
        if all_controls or control.name == IDENTITY
    )
    return Bucket(
        width=facts.width,
        height=facts.height,
        num_inference_steps=facts.num_inference_steps,
        scheduler=facts.scheduler,
        guidance_scale=facts.guidance_scale,
        controls=shown,
    )


def rows_for(recipe: Recipe, bucket: Bucket, count: int, *, first: int = 0) -> list[SampleRow]:
    """Return `count` rows; number n has the same person, prompt and seed whenever it is asked for."""
    return [_row(recipe, bucket, number) for number in range(first, first + count)]


def same_but_people(rows: list[SampleRow]) -> list[SampleRow]:
    """Return the rows with the first one's prompt and seed: what differs in their pictures is the person."""
    return [replace(row, prompt=rows[0].prompt, seed=rows[0].seed) for row in rows]


def _row(recipe: Recipe, bucket: Bucket, number: int) -> SampleRow:
    asked, rng = needs(recipe), np.random.default_rng(number)
    identity = next((control for control in recipe.controls if control.name == IDENTITY), None)
    shown = {control.name for control in bucket.controls}
    size_px = (bucket.height, bucket.width)
    pixels = rng.integers(0, 256, (*size_px, 3), np.uint8) if shown - {IDENTITY} else None
    controls = {name: pixels for name in shown - {IDENTITY, INPAINT} if pixels is not None}
    return SampleRow(
        key=str(number),
        prompt=f"portrait number {number}",
        negative_prompt=recipe.defaults.negative_prompt,
        seed=number,
        id_embedding=rng.standard_normal((int(asked.embedding), EMBEDDING_WIDTH)).astype(np.float32),
        crops={need.name: _crop(rng, need.size_px) for need in asked.pictures},
        ip_adapter_scale=recipe.defaults.ip_adapter_scale,
        init_image=pixels if INPAINT in shown else None,
        mask=pixels[..., 0] if INPAINT in shown and pixels is not None else None,
        control_images=controls | ({IDENTITY: _points(number, (bucket.width, bucket.height))} if identity else {}),
        identity_scale=identity.scale if identity else 1.0,
    )


def _crop(rng: np.random.Generator, size_px: int) -> NDArray[np.uint8]:
    """[1, size_px, size_px, 3]."""
    coarse = rng.integers(0, 256, (1, SQUARES, SQUARES, 3), np.uint8)
    side = -(-size_px // SQUARES)
    return coarse.repeat(side, 1).repeat(side, 2)[:, :size_px, :size_px]


def _points(number: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """[H, W, 3]: everybody's face is a little elsewhere."""
    moved = np.array(FACE) + 0.1 * np.array([np.sin(number), np.cos(number)])
    return keypoints.draw((moved * size).astype(np.float32), size)
