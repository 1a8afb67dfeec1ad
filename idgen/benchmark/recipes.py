"""The recipes that are measured, on random weights: those of the tiny world, or full-size ones."""

from dataclasses import dataclass, replace

from idgen.benchmark.workloads import SCHEDULER, SPEED_RECIPES, TINY_BATCH, TINY_SIDE_PX, TINY_STEPS
from idgen.installation import CONFIGS
from idgen.recipes.book import load_recipes
from idgen.recipes.recipe import Dtype, Recipe
from idgen.settings import load_config

TINY = str(CONFIGS / "tiny.yaml")


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """How a recipe's speed is measured."""

    side_px: int
    steps: int
    guidance_scale: float
    batch: int
    scheduler: str = SCHEDULER
    limit_images_per_s: float | None = None
    """None where nobody has counted."""


def load(recipe: str, words: list[str], dtype: Dtype) -> Recipe:
    """Return the recipe that `words` describe in a precision; its decoder stays in float32, as recipes have it."""
    made = load_recipes(load_config(words))[recipe]
    return replace(made, base=replace(made.base, dtype=dtype))


def setting_for(recipe: str, size: str) -> Setting:
    """Return how the recipe is measured at that size of weights."""
    whole = SPEED_RECIPES[recipe]
    if size == "tiny":
        return Setting(side_px=TINY_SIDE_PX, steps=TINY_STEPS, guidance_scale=whole.guidance_scale, batch=TINY_BATCH)
    return Setting(
        side_px=whole.side_px,
        steps=whole.steps,
        guidance_scale=whole.guidance_scale,
        batch=whole.batch,
        limit_images_per_s=whole.limit_images_per_s,
    )
