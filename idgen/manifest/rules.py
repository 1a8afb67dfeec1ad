"""What a row's settings must be together, and which of a recipe's defaults a row gets at all."""

from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Any

from idgen.manifest import values
from idgen.recipes import Control, Recipe
from idgen.sampling.scheduler_names import SCHEDULERS


def defaults_of(recipe: Recipe, images: Collection[str]) -> dict[str, Any]:
    """Return what null columns of the recipe's rows become, by column; `images` are the image columns a row sets.

    What decides nothing in a row is left out, and so never reaches its key.
    """
    defaults = asdict(recipe.defaults)
    if "shortcut_scale" not in recipe.columns:
        del defaults["shortcut_scale"]
    if "init_image_uri" not in images:
        del defaults["strength"]
    return defaults | {f"control_{control.name}_scale": control.scale for control in _used(recipe, images)}


def check_together(
    columns: Mapping[str, Any], recipe: Recipe, images: Collection[str], schedulers: Collection[str]
) -> None:
    """Raise RowError(BAD_VALUE) for resolved settings that contradict each other or would change nothing."""
    steps = columns["num_inference_steps"]
    if columns["scheduler"] not in schedulers:
        raise values.bad("scheduler", f"must be one of {', '.join(sorted(schedulers))}")
    spec = SCHEDULERS.get(columns["scheduler"])
    if spec is not None and steps > spec.max_steps:
        raise values.bad("num_inference_steps", f"{columns['scheduler']} does at most {spec.max_steps}")
    if recipe.base.steps and steps not in recipe.base.steps:
        allowed = " or ".join(str(number) for number in recipe.base.steps)
        raise values.bad("num_inference_steps", f"the base of {recipe.name} was made for {allowed}")
    if "strength" in columns and "init_image_uri" not in images:
        raise values.bad("strength", "has no use without init_image_uri")
    if "strength" in columns and steps * float(f"{columns['strength']:.6g}") < 1:  # float32's 0.02 of 50 is 1
        raise values.bad("strength", f"leaves none of {steps} steps; at least {1 / steps:.3g}")
    _check_controls(columns, recipe, images)


def _check_controls(columns: Mapping[str, Any], recipe: Recipe, images: Collection[str]) -> None:
    for name in columns:
        kind = name.removeprefix("control_").removesuffix("_scale")
        if name == f"control_{kind}_scale" and f"control_{kind}_uri" not in images:
            raise values.bad(name, f"has no use without control_{kind}_uri")
    used = _used(recipe, images)
    for name in ("control_guidance_start", "control_guidance_end"):
        if name in columns and not used:
            raise values.bad(name, "has no use without a control image")
    for control in used:
        end = columns.get("control_guidance_end", control.end)
        if columns.get("control_guidance_start", control.start) >= end:
            raise values.bad("control_guidance_start", f"must be less than the end, {end:g} for {control.name}")


def _used(recipe: Recipe, images: Collection[str]) -> list[Control]:
    return [control for control in recipe.controls if f"control_{control.name}_uri" in images]
