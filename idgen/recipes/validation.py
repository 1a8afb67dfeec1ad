"""Rules for a whole recipe, checked when it is read: before anything is planned or loaded."""

from collections.abc import Iterable

from idgen.columns import NETS, SHOWN_TO
from idgen.errors import Exit, RunError
from idgen.recipes import adapter_rules, column_rules, face_pass, gates
from idgen.recipes.families import FAMILIES
from idgen.recipes.recipe import Recipe
from idgen.recipes.variants import needs
from idgen.suggestions import suggestion

DETECTOR_STEP_PX = 32
"""Pixels of the coarsest grid that detectors look with."""


def check_recipe(recipe: Recipe) -> None:
    """Raise RunError(USAGE) for a recipe that contradicts itself; the message names the recipe and the setting."""
    for fault in _faults(recipe):
        raise RunError(Exit.USAGE, f"recipe {recipe.name}: {fault}")


def _faults(recipe: Recipe) -> Iterable[str]:
    base = recipe.base
    for what, parts in (("adapters", recipe.adapters), ("controls", recipe.controls), ("base.loras", base.loras)):
        names = [part.name for part in parts]
        if len(set(names)) < len(names) or "" in names:
            yield f"{what} need a different name each, but have {names}"
    yield from _base_faults(recipe)
    yield from adapter_rules.faults(recipe)
    if any(steps < 1 for steps in base.steps):
        yield f"base.steps: {base.steps} must be 1 or more"
    if base.steps and recipe.defaults.num_inference_steps not in base.steps:
        yield f"defaults.num_inference_steps: {recipe.defaults.num_inference_steps} is not in base.steps {base.steps}"
    if needs(recipe).analysis and recipe.max_references < 1:
        yield "max_references: must be 1 or more: the adapters need a photo of a face"
    yield from _scale_faults(recipe)
    yield from _control_faults(recipe)
    yield from face_pass.faults(recipe)
    side = recipe.face_pack.det_size_px
    if side < 1 or side % DETECTOR_STEP_PX:
        yield f"face_pack.det_size_px: {side} must be a multiple of {DETECTOR_STEP_PX}, for example 640"
    yield from column_rules.faults(recipe)
    yield from gates.faults(recipe)


def _base_faults(recipe: Recipe) -> Iterable[str]:
    """What one family of bases cannot do."""
    family = FAMILIES[recipe.base.kind]
    if not family.clip_text and (recipe.prompt_syntax != "plain" or recipe.long_prompt != "cut"):
        on_clip = ", ".join(name for name, one in FAMILIES.items() if one.clip_text)
        yield f"prompt_syntax, long_prompt: only for CLIP's text encoders ({on_clip}), not for {family.owners}"
    if not family.file_prefixes and recipe.base.config:
        yield f"base.config: only for a base in a single file; {family.title} is a folder in diffusers layout"
    if not family.controls and recipe.controls:
        yield f"controls: {family.owners} ControlNets are not supported"


def _scale_faults(recipe: Recipe) -> Iterable[str]:
    """Defaults that would refuse every row, or take the effect of `ip_adapter_scale` from it."""
    names = [adapter.name for adapter in recipe.adapters]
    for name in recipe.defaults.ip_adapter_scales or {}:
        if name not in names:
            yield f"defaults.ip_adapter_scales: no adapter {name!r}{suggestion(name, names)}"
        elif name == names[0]:
            yield f"defaults.ip_adapter_scales: {name} is the first adapter; ip_adapter_scale sets its strength"


def _control_faults(recipe: Recipe) -> Iterable[str]:
    for control in recipe.controls:
        shown = SHOWN_TO.get(control.name)
        if control.name not in NETS:
            yield f"controls: {control.name!r} must be one of {', '.join(NETS)}"
        elif shown is not None and shown not in recipe.columns:
            yield f"control {control.name}: no row can use it, because columns do not list {shown}"
        if control.name == "identity" and control.context == "text":
            yield "control identity: it always reads the face tokens, so context: text is not possible"
        if control.config and control.name != "identity" and control.context != "face":
            yield f"control {control.name}: config is only for nets that read the face tokens"
        if not 0.0 <= control.start < control.end <= 1.0:
            yield f"control {control.name}: start must be less than end, both in 0..1"
