"""What a recipe's face pass must be like, so that it can be sampled at all."""

from collections.abc import Iterable

from idgen.recipes import Recipe
from idgen.sampling.scheduler_names import SCHEDULERS
from idgen.suggestions import suggestion


def faults(recipe: Recipe) -> Iterable[str]:
    """Yield what is wrong with `recipe.face_pass`, in words that begin with the setting; nothing where it is null."""
    own = recipe.face_pass
    if own is None:
        return
    steps, side = own.num_inference_steps, own.side_px
    if own.scheduler not in SCHEDULERS:
        yield f"face_pass.scheduler: none is called {own.scheduler!r}{suggestion(own.scheduler, SCHEDULERS)}"
    elif steps > SCHEDULERS[own.scheduler].max_steps:
        yield f"face_pass.num_inference_steps: {own.scheduler} does at most {SCHEDULERS[own.scheduler].max_steps}"
    if recipe.base.steps and steps not in recipe.base.steps:
        yield f"face_pass.num_inference_steps: {steps} is none of base.steps {recipe.base.steps}"
    if not 0.0 < own.strength <= 1.0:
        yield f"face_pass.strength: {own.strength:g} must be more than 0, at most 1"
    elif steps * own.strength < 1:
        yield f"face_pass.strength: {own.strength:g} leaves none of {steps} steps; at least {1 / steps:.3g}"
    if side % recipe.size_multiple_px or not 0 < side <= recipe.max_side_px:
        yield f"face_pass.side_px: {side} must be a multiple of {recipe.size_multiple_px}, at most {recipe.max_side_px}"
    if own.crop_scale < 1.0:
        yield f"face_pass.crop_scale: {own.crop_scale:g} would cut the face; at least 1"
    if not 0 < own.below_px <= side:
        yield f"face_pass.below_px: {own.below_px} must be 1 to side_px ({side}): larger faces would lose detail"
