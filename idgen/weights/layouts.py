"""Whether files are what a recipe says they are, by the names and shapes of their tensors; nothing is loaded."""

import json
from pathlib import Path
from typing import Any

from idgen.adapters.variants import VARIANTS, Variant
from idgen.errors import Exit, RunError
from idgen.recipes import AdapterSpec, Recipe
from idgen.weights.headers import Shapes, shapes_of
from idgen.weights.locations import locate
from idgen.weights.roles import Part, files_of

EMBEDDING_WIDTH = 512
"""Width of a face's embedding."""
_TEXT_WIDTH_KEY = "cross_attention_dim"
_INPUTS: dict[str, tuple[str, int]] = {
    "image": ("image_proj.proj.weight", 1),
    "resampler": ("image_proj.proj_in.weight", 1),
    "mlp": ("image_proj.proj.0.weight", 1),
    "faceid": ("image_proj.proj.0.weight", 1),
    "faceid_plus": ("image_proj.perceiver_resampler.proj_in.weight", 1),
}
"""By projection: the tensor whose width is that of what goes in."""
_MARKS: dict[str, str] = {
    "image": "image_proj.proj.weight",
    "resampler": "image_proj.latents",
    "mlp": "image_proj.proj.3.weight",
    "faceid_plus": "image_proj.perceiver_resampler.proj_in.weight",
}
"""By projection: a tensor that no other one has; faceid has none of them."""


def check_layout(part: Part, recipe: Recipe) -> str:
    """Return in a few words what a part that is there was found to be. Raises RunError(USAGE) when it is another."""
    files = files_of(part, recipe)
    match part.kind:
        case "adapter":
            spec = next(spec for spec in recipe.adapters if f"adapter:{spec.name}" == part.role)
            return _check_adapter(files[0][1], spec, recipe)
        case "lora":
            return _check_names(files[0][1], ("lora_", ".lora.", "lora."), "a LoRA")
        case "unet":
            return _check_names(files[0][1], ("down_blocks.", "model.diffusion_model."), "a UNet")
        case "base" if files[0][0] == "checkpoint":
            return _check_names(files[0][1], ("model.diffusion_model.",), "a base in the original layout")
        case "control":
            return _check_class(locate(part.location, part.revision), "ControlNet")
        case "face_pack":
            return f"{len(files)} networks"
        case _:
            return f"{len(files)} files"


def _check_adapter(path: Path, spec: AdapterSpec, recipe: Recipe) -> str:
    variant, shapes = VARIANTS[spec.kind], shapes_of(path)
    found = _projection(shapes)
    if found != variant.projection:
        raise RunError(
            Exit.USAGE, f"{path} is no {spec.kind}: its projection is {found or 'unknown'}, not {variant.projection}"
        )
    has_lora = any("_lora." in name for name in shapes)
    if has_lora != variant.lora:
        raise RunError(Exit.USAGE, f"{path} is no {spec.kind}: it has {'a' if has_lora else 'no'} LoRA")
    _check_text_width(path, shapes, recipe)
    _check_input_width(path, shapes, spec, variant, recipe)
    return f"{spec.kind}, {len(shapes)} tensors"


def _projection(shapes: Shapes) -> str:
    if not any(name.startswith("ip_adapter.") and name.endswith("to_k_ip.weight") for name in shapes):
        return ""
    for projection, mark in _MARKS.items():
        if mark in shapes:
            return projection
    return "faceid" if {"image_proj.proj.0.weight", "image_proj.norm.weight"} <= shapes.keys() else ""


def _check_text_width(path: Path, shapes: Shapes, recipe: Recipe) -> None:
    """Compare with the base's UNet where it is there; families differ in the width of their text."""
    folder = _present(recipe.base.config or recipe.base.weights, recipe.base.revision)
    wanted = _settings(folder / "unet" / "config.json").get(_TEXT_WIDTH_KEY) if folder is not None else None
    found = next(shape[1] for name, shape in shapes.items() if name.endswith("to_k_ip.weight"))
    if isinstance(wanted, int) and found != wanted:
        raise RunError(
            Exit.USAGE,
            f"{path} is made for a base whose text is {found} wide, that of {recipe.base.weights} is {wanted}",
        )


def _check_input_width(path: Path, shapes: Shapes, spec: AdapterSpec, variant: Variant, recipe: Recipe) -> None:
    """Compare with the image encoder, where it is there, or with the face's embedding."""
    name, axis = _INPUTS[variant.projection]
    found = shapes[name][axis]
    if variant.features is None:
        wanted: object = EMBEDDING_WIDTH
    else:
        folder = _present(spec.image_encoder)
        settings = _settings(folder / "config.json") if folder is not None else {}
        settings = settings.get("vision_config") or settings
        wanted = settings.get("projection_dim" if variant.features == "image_embeds" else "hidden_size")
    if isinstance(wanted, int) and found != wanted:
        source = spec.image_encoder or "the face pack"
        raise RunError(
            Exit.USAGE, f"{path} takes features {found} wide, but {source} gives {wanted}: the wrong encoder?"
        )


def _check_names(path: Path, beginnings: tuple[str, ...], what: str) -> str:
    shapes = shapes_of(path)
    if not any(part in name for name in shapes for part in beginnings):
        raise RunError(Exit.USAGE, f"{path} is not {what}")
    return f"{what}, {len(shapes)} tensors"


def _check_class(folder: Path, what: str) -> str:
    name = str(_settings(folder / "config.json").get("_class_name", ""))
    if what not in name:
        raise RunError(Exit.USAGE, f"{folder} is no {what}: its config says {name or 'nothing'}")
    return name


def _present(location: str, revision: str | None = None) -> Path | None:
    """Return where weights are, None when they are not there: that is told of the part itself."""
    try:
        return locate(location, revision)
    except RunError:
        return None


def _settings(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
