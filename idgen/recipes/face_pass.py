"""Rules for a recipe's face pass, so that it can be sampled at all."""

from collections.abc import Iterable

from idgen.recipes.recipe import FacePass, Recipe
from idgen.recipes.schedulers import SCHEDULERS
from idgen.suggestions import suggestion

_STRENGTHS = {"guidance_scale": 100.0, "ip_adapter_scale": 10.0, "controlnet_conditioning_scale": 10.0}
"""Setting -> the most that a row's column of that name may say (columns.py)."""


def faults(recipe: Recipe) -> Iterable[str]:
    """Yield what is wrong with `recipe.face_pass`, in words that begin with the setting; nothing where it is null."""
    if recipe.defaults.face_pass != "off" and "face_pass" not in recipe.columns:
        yield "defaults.face_pass: has no effect, because columns do not list face_pass"
    if recipe.face_pass is not None:
        yield from _step_faults(recipe.face_pass, recipe.base.steps)
        yield from _size_faults(recipe.face_pass, recipe)
        for name, most in _STRENGTHS.items():
            if not 0.0 <= (value := getattr(recipe.face_pass, name)) <= most:
                yield f"face_pass.{name}: {value:g} must be 0 to {most:g}"


def _step_faults(own: FacePass, base_steps: list[int]) -> Iterable[str]:
    steps = own.num_inference_steps
    if own.scheduler not in SCHEDULERS:
        yield f"face_pass.scheduler: there is no {own.scheduler!r}{suggestion(own.scheduler, SCHEDULERS)}"
    elif steps > SCHEDULERS[own.scheduler].max_steps:
        yield f"face_pass.num_inference_steps: {own.scheduler} allows at most {SCHEDULERS[own.scheduler].max_steps}"
    if steps < 1:
        yield f"face_pass.num_inference_steps: {steps} must be 1 or more"
        return
    if base_steps and steps not in base_steps:
        yield f"face_pass.num_inference_steps: {steps} is not in base.steps {base_steps}"
    if not 0.0 < own.strength <= 1.0:
        yield f"face_pass.strength: {own.strength:g} must be more than 0, at most 1"
    elif steps * own.strength < 1:
        yield f"face_pass.strength: {own.strength:g} leaves none of the {steps} steps; give at least {1 / steps:.3g}"


def _size_faults(own: FacePass, recipe: Recipe) -> Iterable[str]:
    side = own.side_px
    if side % recipe.size_multiple_px or not 0 < side <= recipe.max_side_px:
        yield f"face_pass.side_px: {side} must be a multiple of {recipe.size_multiple_px}, at most {recipe.max_side_px}"
    if not own.crop_scale >= 1.0:
        yield f"face_pass.crop_scale: {own.crop_scale:g} would cut the face; give at least 1"
    if not 0 < own.below_px <= side:
        yield f"face_pass.below_px: {own.below_px} must be 1 to side_px ({side}): larger faces would lose detail"
