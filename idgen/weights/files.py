"""Which files of a folder decide a picture; a folder that lacks some is refused here, not when it is loaded."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from idgen.errors import Exit, RunError
from idgen.weights.hashes import Files
from idgen.weights.names import (
    TEXT_COMPONENTS,
    components,
    components_with_weights,
    index_of,
    is_config,
    is_face_network,
    is_setting,
    variant_of,
    weight_names,
)


def weight_variant(folder: Path, denoiser: str) -> str | None:
    """Return "fp16" when a base is stored in that variant only, else None: what diffusers calls `variant`.

    `denoiser` is the folder of its denoiser, here and below: it decides. One that comes from elsewhere has no weights
    here, then the next component does.
    """
    for name in components_with_weights(denoiser):
        if weight_files(folder / name, "fp16"):
            return component_variant(folder / name)
    return None


def component_variant(folder: Path) -> str | None:
    """Return the same for a folder with one model: an image encoder, a VAE, a ControlNet."""
    return variant_of(_names(folder))


def weight_files(folder: Path, variant: str | None) -> list[Path]:
    """Return the files that diffusers and transformers read a component's weights from, shards in order.

    Those of `variant` where there are any, safetensors before pickles; copies of other names (non_ema, openvino) never.
    """
    return [folder / name for name in weight_names(_names(folder), variant)]


def base_files(folder: Path, *, own_denoiser: bool, own_vae: bool, denoiser: str, text: bool = True) -> Files:
    """Return everything in a diffusers folder that decides a picture. Raises RunError(USAGE) when parts are missing.

    Without `own_denoiser` the denoiser's settings stay, as weights from elsewhere are loaded into them; without
    `own_vae` nothing of the VAE does, without `text` nothing that prompts are encoded with.
    """
    if not (folder / denoiser).is_dir():
        raise RunError(Exit.USAGE, f"{folder} is not a base in diffusers layout: it has no {denoiser} folder")
    variant = weight_variant(folder, denoiser)
    with_weights = components_with_weights(denoiser)
    files: list[Path] = []
    for name in components(denoiser):
        if (name == "vae" and not own_vae) or (name in TEXT_COMPONENTS and not text):
            continue
        bare = name == denoiser and not own_denoiser
        found = list(settings_files(folder / name) if bare else _component_files(folder / name, variant))
        _check_component(folder, name, found, weights=name in with_weights and not bare)
        files += found
    return named(folder, files)


def text_files(folder: Path, denoiser: str) -> Files:
    """Return what a diffusers folder has to encode prompts with. Raises RunError(USAGE) when parts are missing."""
    variant = weight_variant(folder, denoiser)
    files: list[Path] = []
    for name in TEXT_COMPONENTS:
        found = list(_component_files(folder / name, variant))
        _check_component(folder, name, found, weights=name in components_with_weights(denoiser))
        files += found
    if not any(not is_setting(path.name) for path in files):
        raise RunError(Exit.USAGE, f"{folder} is incomplete: its text_encoder folder has no weights")
    return named(folder, files)


def config_files(folder: Path, denoiser: str) -> Files:
    """Return the settings and vocabularies of a diffusers folder: all that a base in a single file lacks."""
    return named(folder, (path for name in components(denoiser) for path in settings_files(folder / name)))


def vae_files(folder: Path) -> Files:
    """Return the settings and weights of a VAE. Raises RunError(USAGE) when it has no weights."""
    return model_files(folder, settings=is_setting)


def model_files(folder: Path, *, settings: Callable[[str], bool] = is_config) -> Files:
    """Return the settings and weights of a folder with one model: an image encoder, a ControlNet.

    Raises RunError(USAGE) when it has no weights.
    """
    found = weight_files(folder, component_variant(folder))
    if not found:
        raise RunError(Exit.USAGE, f"{folder} has no weights that diffusers or transformers can read")
    _check_shards(folder, found)
    return named(folder, [*found, *(folder / name for name in _names(folder) if settings(name))])


def tower_files(path: Path) -> Files:
    """Return EVA02-CLIP's one file, and the config.json that may lie beside it."""
    beside = path.with_name("config.json")
    return [("tower", path), *([("config.json", beside)] if beside.is_file() else [])]


def control_files(place: Path, *, own_settings: bool, of_face: bool) -> Files:
    """Return a ControlNet's settings and weights, of a folder; or one file, as SDXL-EcomID's is.

    Only nets that look at a face (`of_face`) may have their settings elsewhere. Raises RunError(USAGE) when it has no
    weights, or none of the settings that it has to bring as `own_settings`.
    """
    if own_settings and not (place / "config.json").is_file():
        elsewhere = (
            "also give, as `config`, a folder with the config of an SDXL ControlNet, such as "
            "InstantX/InstantID:ControlNetModel"
        )
        remedy = elsewhere if of_face else "give the net's folder in diffusers layout"
        raise RunError(Exit.USAGE, f"{place} has no config.json: {remedy}")
    return model_files(place) if place.is_dir() else [(place.name, place)]


def control_settings(folder: Path) -> Files:
    """Return the settings that a ControlNet in one file lacks. Raises RunError(USAGE) when there are none."""
    if not (folder / "config.json").is_file():
        raise RunError(Exit.USAGE, f"{folder} has no config.json")
    return [("config.json", folder / "config.json")]


def face_pack_files(folder: Path) -> Files:
    """Return the pack's networks, without those that idgen never loads. Raises RunError(USAGE) when there are none."""
    files = [folder / name for name in _names(folder) if is_face_network(name)]
    if not files:
        raise RunError(Exit.USAGE, f"face pack {folder} has no .onnx files")
    return named(folder, files)


def named(folder: Path, files: Iterable[Path]) -> Files:
    """Return the files with their names inside `folder`."""
    return [(path.relative_to(folder).as_posix(), path) for path in files]


def settings_files(folder: Path) -> Iterator[Path]:
    """Yield a component's settings and vocabulary."""
    return (folder / name for name in _names(folder) if is_setting(name))


def _component_files(folder: Path, variant: str | None) -> Iterator[Path]:
    """Yield a component's settings, and its weights in the one form that is loaded."""
    found = weight_files(folder, variant)
    _check_shards(folder, found)
    yield from found
    yield from settings_files(folder)


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []


def _check_component(folder: Path, name: str, found: list[Path], *, weights: bool) -> None:
    """Raise RunError when model_index.json lists a component that is not there, as after half a download."""
    index: object = None
    with suppress(OSError, ValueError):
        index = json.loads((folder / "model_index.json").read_text())
    listed = index.get(name) if isinstance(index, dict) else None
    if not isinstance(listed, list) or listed[:1] == [None]:
        return
    if not found or (weights and all(is_setting(path.name) for path in found)):
        what = "weights" if weights else "files"
        raise RunError(Exit.USAGE, f"{folder} is incomplete: its {name} folder has no {what}")


def _check_shards(folder: Path, found: Sequence[Path]) -> None:
    """Raise RunError when some of a model's shards are missing, or the file that libraries find them by."""
    match = re.search(r"-(\d{5})-of-(\d{5})", found[0].name) if found else None
    if match is not None and len(found) != int(match[2]):
        raise RunError(Exit.USAGE, f"{folder} is incomplete: {len(found)} of {int(match[2])} shards of {found[0].name}")
    index = index_of([path.name for path in found])
    if index is not None and not (folder / index).is_file():
        raise RunError(Exit.USAGE, f"{folder} is incomplete: {index} is missing, which lists its shards")
