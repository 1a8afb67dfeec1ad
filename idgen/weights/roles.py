"""What a recipe loads, part by part, and the sha256 of each role."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from idgen.errors import Exit, RunError
from idgen.recipes.families import FAMILIES
from idgen.recipes.recipe import Recipe
from idgen.recipes.variants import needs
from idgen.weights import files, originals
from idgen.weights.hashes import Files, HashCache
from idgen.weights.locations import fetch_command, hub_place, locate

Kind = Literal[
    "base", "text", "config", "vae", "unet", "lora", "adapter", "image_encoder", "face_parser", "context", "control",
    "control_config", "face_pack",
]  # fmt: skip
ONE_FILE: tuple[Kind, ...] = ("unet", "lora", "adapter", "face_parser", "context")
"""Kinds of parts that are known by their file's own sha256."""


_BESIDE_ADAPTERS: dict[Kind, str] = {
    "image_encoder": "image_encoder",
    "face_parser": "face_parser",
    "context": "context_weights",
}
"""Kind of a part -> the setting of an adapter that names it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightPart:
    """One thing that a recipe loads."""

    role: str
    """Its name in the identity: the kind, and for what a recipe has several of, `:<name>`."""
    kind: Kind
    key: str
    """Where the recipe names it, as in adapters.0.weights."""
    location: str
    revision: str | None = None
    sha256: str | None = None
    """Pinned; None = whatever it is."""


def parts(recipe: Recipe) -> list[WeightPart]:
    """Return what `recipe` loads. A base in a single file has a part more, its settings, which are no role.

    A text encoder that is read without the rest of its base (Kolors') is a part of its own, `text`: actors that encode
    prompts ahead load it alone, and sampling actors the rest without it.
    """
    base = recipe.base
    found = [WeightPart(role="base", kind="base", key="base.weights", location=base.weights, revision=base.revision)]
    if FAMILIES[base.kind].text_apart:
        found.append(
            WeightPart(role="text", kind="text", key="base.weights", location=base.weights, revision=base.revision)
        )
    for kind, location in (("config", base.config), ("vae", base.vae), ("unet", base.unet)):
        if location:
            found.append(WeightPart(role=kind, kind=kind, key=f"base.{kind}", location=location))  # type: ignore[arg-type]
    for i, lora in enumerate(base.loras):
        found.append(
            WeightPart(role=f"lora:{lora.name}", kind="lora", key=f"base.loras.{i}.weights", location=lora.weights,
                 revision=lora.revision, sha256=lora.sha256)
        )  # fmt: skip
    for i, spec in enumerate(recipe.adapters):
        found.append(
            WeightPart(role=f"adapter:{spec.name}", kind="adapter", key=f"adapters.{i}.weights", location=spec.weights,
                 revision=spec.revision, sha256=spec.sha256)
        )  # fmt: skip
        for kind, setting in _BESIDE_ADAPTERS.items():
            if location := getattr(spec, setting):
                key = f"adapters.{i}.{setting}"
                found.append(WeightPart(role=f"{kind}:{spec.name}", kind=kind, key=key, location=location))
    for i, control in enumerate(recipe.controls):
        found.append(
            WeightPart(
                role=f"control:{control.name}",
                kind="control",
                key=f"controls.{i}.weights",
                location=control.weights,
                revision=control.revision,
            )
        )
        if control.config:
            role, key = f"control_config:{control.name}", f"controls.{i}.config"
            found.append(WeightPart(role=role, kind="control_config", key=key, location=control.config))
    if needs_face_pack(recipe):
        found.append(
            WeightPart(role="face_pack", kind="face_pack", key="face_pack.weights", location=recipe.face_pack.weights)
        )
    return found


def needs_face_pack(recipe: Recipe) -> bool:
    """Tell whether faces are ever looked for in this recipe's references."""
    wanted = needs(recipe)
    return wanted.analysis or any(need.kind == "face" for need in wanted.pictures)


def files_of(part: WeightPart, recipe: Recipe) -> Files:
    """Return the files of a part that decide pictures. Raises RunError(USAGE) that names what is missing."""
    try:
        path = locate(part.location, part.revision, recipe=recipe.name or "<name>")
        return _complete_files(path, part, recipe)
    except RunError as error:
        fetchable = hub_place(part.location) is not None and fetch_command("") not in error.message
        hint = f"; `{fetch_command(recipe.name)}` gets what is missing" if fetchable else ""
        message = f"recipe {recipe.name}: {part.key}: {error.message}{hint}"
        raise RunError(error.exit_code, message) from error


def _complete_files(path: Path, part: WeightPart, recipe: Recipe) -> Files:
    base = recipe.base
    if not FAMILIES[base.kind].file_prefixes and part.kind in ("base", "text"):
        originals.check_folder(path, base.kind)
    match part.kind:
        case "base" if path.is_dir():
            family = FAMILIES[base.kind]
            return files.base_files(
                path,
                own_denoiser=not base.unet,
                own_vae=not base.vae,
                text=not family.text_apart,
                denoiser=family.denoiser,
            )
        case "text":
            return files.text_files(path, FAMILIES[base.kind].denoiser)
        case "base":
            return _single_base_files(path, recipe)
        case "config":
            return files.config_files(path, FAMILIES[base.kind].denoiser)
        case "vae" if path.is_file():
            return [("vae", path), *_vae_settings(recipe)]
        case "face_pack":
            return files.face_pack_files(path)
        case "vae":
            return files.vae_files(path)
        case "image_encoder":
            return files.tower_files(path) if path.is_file() else files.model_files(path)
        case "control" | "control_config":
            return _control_files(path, part, recipe)
        case _:
            if not path.is_file():
                raise RunError(Exit.USAGE, f"{path} is not a file")
            return [(path.name, path)]


def _single_base_files(path: Path, recipe: Recipe) -> Files:
    """Return a base in a single file, with the settings that it lacks."""
    if not recipe.base.config:
        raise RunError(Exit.USAGE, f"{path} is a single file: it needs base.config, a folder in diffusers layout")
    settings = locate(recipe.base.config, recipe=recipe.name)
    beside = files.config_files(settings, FAMILIES[recipe.base.kind].denoiser)
    return [("checkpoint", path), *((f"config/{name}", file) for name, file in beside)]


def _control_files(path: Path, part: WeightPart, recipe: Recipe) -> Files:
    if part.kind == "control_config":
        return files.control_settings(path)
    spec = next(control for control in recipe.controls if f"control:{control.name}" == part.role)
    of_face = spec.name == "identity" or spec.context == "face"
    return files.control_files(path, own_settings=not spec.config, of_face=of_face)


def _vae_settings(recipe: Recipe) -> Files:
    """Return the base's settings for a VAE that is a single file."""
    folder = locate(recipe.base.config or recipe.base.weights, recipe.base.revision, recipe=recipe.name)
    return files.named(folder / "vae", files.settings_files(folder / "vae"))


def identity(recipe: Recipe, *, cache: Path | None) -> dict[str, str]:
    """Return the sha256 of everything `recipe` loads, by role: the models', the text encoder's and the face pack's.

    `cache` is a JSON file that spares hashing unchanged files again (None = hash all). Raises RunError(USAGE) when
    weights are missing or differ from a pinned sha256.
    """
    return _hashed(recipe, [part for part in parts(recipe) if part.kind != "config"], cache)


def model_identity(recipe: Recipe, *, cache: Path | None) -> dict[str, str]:
    """Return what a sampling node loads: base, vae and unet that are not the base's own, and by name lora, adapter,
    image_encoder, face_parser, context, control and control_config; text where it is a role and prompts are encoded
    beside the UNet.
    """
    elsewhere = ("config", "face_pack", *(("text",) if recipe.base.text_ahead else ()))
    return _hashed(recipe, [part for part in parts(recipe) if part.kind not in elsewhere], cache)


def text_identity(recipe: Recipe, *, cache: Path | None) -> dict[str, str]:
    """Return what a node loads that encodes prompts ahead: text alone, or all of a base that has no such role."""
    kinds = ("text",) if FAMILIES[recipe.base.kind].text_apart else ("base", "vae", "unet", "lora")
    return _hashed(recipe, [part for part in parts(recipe) if part.kind in kinds], cache)


def face_pack_identity(recipe: Recipe, *, cache: Path | None) -> dict[str, str]:
    """Return what a face node loads: face_pack, or nothing when the recipe never looks for faces."""
    return _hashed(recipe, [part for part in parts(recipe) if part.kind == "face_pack"], cache)


def check_node(recipe: Recipe, found: Mapping[str, str], expected: Mapping[str, str]) -> None:
    """Raise RunError(UNAVAILABLE) when this node holds other weights than the driver, whose hashes are in the keys."""
    differ = [role for role, digest in found.items() if expected.get(role) != digest]
    if differ:
        raise RunError(
            Exit.UNAVAILABLE,
            f"recipe {recipe.name}: {', '.join(differ)} on {os.uname().nodename} differ from the driver's; give all "
            "nodes the same files, or pin a revision",
        )


def check_pin(part: WeightPart, path: Path, found: str, recipe: str) -> None:
    """Raise RunError(USAGE) when the file is not the pinned one."""
    if part.sha256 is not None and part.sha256.lower() != found:
        raise RunError(
            Exit.USAGE,
            f"recipe {recipe}: {path} has sha256 {found}, but the recipe pins {part.sha256}; "
            "put the right file there, or correct or remove the pin",
        )


def _hashed(recipe: Recipe, wanted: list[WeightPart], cache: Path | None) -> dict[str, str]:
    hashes = HashCache(cache)
    roles = {part.role: digest(part, recipe, hashes) for part in wanted}
    hashes.save()
    return roles


def digest(part: WeightPart, recipe: Recipe, hashes: HashCache) -> str:
    """Return a part's sha256: the file's own, or of a folder one over its files. Raises RunError(USAGE)."""
    found = files_of(part, recipe)
    if part.kind not in ONE_FILE:
        return hashes.tree(found)
    ((_, path),) = found
    sha256 = hashes.sha256(path)
    check_pin(part, path, sha256, recipe.name)
    return sha256
