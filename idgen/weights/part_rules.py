"""Whether a part fits the rest of its recipe, by settings alone: cheap enough for every plan. No torch here."""

import json
from pathlib import Path

from idgen.errors import Exit, RunError
from idgen.recipes.families import FAMILIES, family_of
from idgen.recipes.recipe import Recipe
from idgen.weights import base_rules, control_rules, face_networks
from idgen.weights.headers import dtypes_of
from idgen.weights.locations import locate
from idgen.weights.roles import WeightPart, files_of, parts


def check_parts(recipe: Recipe) -> None:
    """Raise RunError(USAGE) that names the first part which does not fit `recipe`, or is missing."""
    for part in parts(recipe):
        try:
            check_part(part, recipe)
        except RunError as error:
            start = f"recipe {recipe.name}: "
            where = "" if error.message.startswith(start) else f"{start}{part.key}: "
            raise RunError(error.exit_code, f"{where}{error.message}") from error


def check_part(part: WeightPart, recipe: Recipe) -> None:
    """Raise RunError(USAGE) when a part that is there cannot work in `recipe`, as far as settings tell."""
    place = locate(part.location, part.revision)
    match part.kind:
        case "base" if place.is_dir():
            _check_base(place, recipe)
        case "config":
            base_rules.check_schedule(settings(place / "scheduler" / "scheduler_config.json"), str(place))
        case "vae":
            _check_vae(place, recipe)
        case "control" | "control_config" if (place / "config.json").is_file():
            _check_control(place, part, recipe)
        case "face_pack":
            face_networks.check_networks([path for _, path in files_of(part, recipe)], place)


def settings(path: Path) -> dict[str, object]:
    """Return what a .json file holds, nothing where it cannot be read."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def present(location: str, revision: str | None = None) -> Path | None:
    """Return where weights are, None when they are not there: that is told of the part itself."""
    try:
        return locate(location, revision)
    except RunError:
        return None


def unet_settings(recipe: Recipe) -> dict[str, object]:
    """Return the settings of the base's UNet, nothing where it is not there."""
    folder = present(recipe.base.config or recipe.base.weights, recipe.base.revision)
    return settings(folder / FAMILIES[recipe.base.kind].denoiser / "config.json") if folder is not None else {}


def _check_base(folder: Path, recipe: Recipe) -> None:
    base_rules.check_schedule(settings(folder / "scheduler" / "scheduler_config.json"), str(folder))
    unet = settings(folder / FAMILIES[recipe.base.kind].denoiser / "config.json")
    if not unet or family_of(unet) != recipe.base.kind:
        return  # there is nothing to compare with
    base_rules.check_texts(folder, recipe.base.kind)
    own_vae = settings(folder / "vae" / "config.json")
    if own_vae and not recipe.base.vae:
        base_rules.check_vae(own_vae, recipe.base.kind, str(folder))


def _check_vae(place: Path, recipe: Recipe) -> None:
    """A VAE in one file has no settings; the base's own are taken."""
    kind = recipe.base.kind
    own = settings(place / "config.json") if place.is_dir() else {}
    if own:
        base_rules.check_vae(own, kind, str(place))
    elif place.is_file() and place.suffix == ".safetensors":
        own = {"scaling_factor": FAMILIES[kind].latent_scale, "latent_channels": FAMILIES[kind].latent_channels}
        base_rules.check_vae(own, kind, str(place), dtypes_of(place))


def _check_control(folder: Path, part: WeightPart, recipe: Recipe) -> None:
    other = any(control.config for control in recipe.controls if control.name == part.role.partition(":")[2])
    replaced = other and part.kind == "control"  # by settings that another folder has
    own = {"_class_name": control_rules.NET} if replaced else settings(folder / "config.json")
    files = [path for _, path in files_of(part, recipe) if path.suffix == ".safetensors"]
    if fault := control_rules.kind_fault(own, [name for path in files for name in dtypes_of(path)]):
        raise RunError(Exit.USAGE, f"{folder} is {fault}")
    if fault := control_rules.fault(own, unet_settings(recipe)):
        raise RunError(Exit.USAGE, f"the ControlNet of {folder} {fault}")
