"""Getting a recipe's weights: the only place that downloads, called by `jobs/weights.py fetch` and never by a run.

Of a hub repository only the files that are loaded are fetched, into the hub's own cache, by its own library: what was
cut off goes on, and what is there is not fetched again.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from idgen.errors import Exit, RunError
from idgen.recipes.families import FAMILIES
from idgen.recipes.recipe import Recipe
from idgen.sources.redact import redact_text
from idgen.weights import archives, downloads
from idgen.weights.headers import shapes_of
from idgen.weights.locations import (
    HubPlace,
    face_pack_folder,
    fetch_command,
    fetched_file,
    hub_place,
    is_address,
    locate,
)
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
from idgen.weights.originals import is_original, original
from idgen.weights.roles import WeightPart, files_of

Say = Callable[[str], None]
"""Takes a line of progress."""
_LEAVE_FREE_BYTES = 2**30


@dataclass(frozen=True, slots=True)
class _HubFile:
    name: str
    size: int


def fetch(part: WeightPart, recipe: Recipe, say: Say) -> None:
    """Get one part that is not there. Raises RunError that names the file and the command to try again with."""
    place = hub_place(part.location)
    if place is not None:
        _fetch_hub(place, part, recipe, say)
    elif is_address(part.location):
        _fetch_file(part.location, say)
    elif part.kind == "face_pack" and "/" not in part.location:
        _fetch_face_pack(recipe, say)
    else:
        raise RunError(
            Exit.USAGE, f"{part.key}={part.location} is a local path with missing files: they cannot be downloaded"
        )


def is_here(part: WeightPart, recipe: Recipe) -> bool:
    """Tell whether all files of a part are on this machine."""
    try:
        files_of(part, recipe)
    except RunError:
        return False
    return True


def wanted_names(part: WeightPart, recipe: Recipe, names: Sequence[str], path: str) -> list[str]:
    """Return which of a repository's files `part` needs; `path` is the file or folder the location names.

    One form of the weights: the fp16 one where the recipe computes in float16 and all components have it. Raises
    RunError(USAGE) for a repository in a layout that nothing here reads.
    """
    if path in names:
        return [path]
    prefix = f"{path}/" if path else ""
    inside = [name.removeprefix(prefix) for name in names if name.startswith(prefix)]
    half = recipe.base.dtype == "float16"
    if part.kind in ("base", "text", "config"):
        found = _wanted_of_base(part, recipe, inside, half)
    elif part.kind == "face_pack":
        found = [name for name in inside if is_face_network(name)]
    elif part.kind == "control_config":
        found = [name for name in inside if is_config(name)]
    else:
        top = [name for name in inside if "/" not in name]
        variant = "fp16" if half and part.kind == "control" and _has_half([top]) else variant_of(top)
        weights = weight_names(top, variant)
        settings = filter(is_setting if part.kind == "vae" else is_config, top)
        found = [*weights, *_index(weights, top), *settings] if weights else []
    return [prefix + name for name in found]


def _wanted_of_base(part: WeightPart, recipe: Recipe, inside: Sequence[str], half: bool) -> list[str]:
    kind = recipe.base.kind
    denoiser = FAMILIES[kind].denoiser
    folders = {
        name: [file.partition("/")[2] for file in inside if file.startswith(f"{name}/")]
        for name in components(denoiser)
    }
    if is_original(folders["text_encoder"], kind):
        raise original(part.location, kind)
    elsewhere = {name for name, given in ((denoiser, recipe.base.unet), ("vae", recipe.base.vae)) if given}
    with_weights = [name for name in components_with_weights(denoiser) if folders[name] and name not in elsewhere]
    loaded = with_weights if part.kind != "config" else []
    variant = "fp16" if half and _has_half([folders[name] for name in loaded]) else None
    found = [name for name in inside if name == "model_index.json"]
    for name, files in folders.items():
        if FAMILIES[kind].text_apart and (name in TEXT_COMPONENTS) != (part.kind == "text"):
            continue
        weights = weight_names(files, variant or variant_of(files)) if name in loaded else []
        settings = filter(is_setting, files)
        found += [f"{name}/{file}" for file in (*weights, *_index(weights, files), *settings)]
    return found


def _index(weights: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return the file that libraries find the shards of `weights` by, where there is one."""
    index = index_of(weights)
    return [index] if index is not None and index in names else []


def _has_half(folders: Sequence[Sequence[str]]) -> bool:
    return all(any(".fp16" in name for name in weight_names(files, "fp16")) for files in folders)


def _fetch_hub(place: HubPlace, part: WeightPart, recipe: Recipe, say: Say) -> None:
    from huggingface_hub import hf_hub_download

    listing = _listing(place, part, recipe)
    names = wanted_names(part, recipe, [file.name for file in listing], place.path)
    if not names:
        raise RunError(
            Exit.USAGE, f"recipe {recipe.name}: {part.key}: {place.repository} has no {place.path or 'weights to load'}"
        )
    sizes = {file.name: file.size for file in listing}
    _check_room(sum(sizes[name] for name in names), place, recipe)
    for number, name in enumerate(names, 1):
        say(f"  {number}/{len(names)}  {sizes[name] / 1e9:8.3f} GB  {place.repository}:{name}")
        with _hub_errors(f"{place.repository}:{name}", recipe):
            hf_hub_download(place.repository, name, revision=part.revision)


def _listing(place: HubPlace, part: WeightPart, recipe: Recipe) -> list[_HubFile]:
    from huggingface_hub import HfApi

    with _hub_errors(f"{place.repository}:{place.path}".rstrip(":"), recipe):
        info = HfApi().model_info(place.repository, revision=part.revision, files_metadata=True)
    return [_HubFile(file.rfilename, int(file.size or 0)) for file in info.siblings or []]


def _check_room(needed: int, place: HubPlace, recipe: Recipe) -> None:
    """Ask the disk before gigabytes have come; what is cached already counts too, so only a clear lack stops."""
    from huggingface_hub import constants

    cache = Path(constants.HF_HUB_CACHE)
    cache.mkdir(parents=True, exist_ok=True)
    already = sum(file.stat().st_size for file in cache.glob(f"models--{place.repository.replace('/', '--')}/blobs/*"))
    if needed - already + _LEAVE_FREE_BYTES > (free := shutil.disk_usage(cache).free):
        raise RunError(
            Exit.UNAVAILABLE,
            f"{place.repository} needs {needed / 1e9:.1f} GB and {cache} has {free / 1e9:.1f} GB free; make room, or "
            f"set HF_HOME to a larger disk, then run `{fetch_command(recipe.name)}`",
        )


def _fetch_file(address: str, say: Say) -> None:
    """Get a file of weights from its address. What holds none, as the page that asks to log in, would pass for it."""
    shown = redact_text(address.partition("?")[0])
    say(f"  {shown}")
    path = downloads.download(address, fetched_file(address))
    try:
        shapes_of(path)
    except RunError as error:
        path.unlink()
        raise RunError(
            Exit.UNAVAILABLE, f"{shown} is not a weights file, nothing of it was kept; correct the address ({error})"
        ) from error


def _fetch_face_pack(recipe: Recipe, say: Say) -> None:
    name, archive = recipe.face_pack.weights, recipe.face_pack.archive
    folder = face_pack_folder(name)
    if not archive:
        raise RunError(
            Exit.USAGE,
            f"recipe {recipe.name}: face pack {name} is not in {folder}, and the recipe does not say where to get it: "
            f"give overrides.{recipe.name}.face_pack.archive=<zip file, address or owner/name:file.zip>",
        )
    say(f"  face pack {name} from {redact_text(archive.partition('?')[0])}")
    path = _archive_file(archive, recipe, say)
    try:
        names = archives.unpack_face_pack(path, folder)
    finally:
        if path.parent == _downloaded():  # a damaged one must not stay, a good one has done its work
            path.unlink()
    say(f"  {len(names)} networks in {folder}")


def _archive_file(archive: str, recipe: Recipe, say: Say) -> Path:
    """Return the zip as a local file, fetched where it is not."""
    if is_address(archive):
        return downloads.download(archive, _downloaded() / (Path(urlsplit(archive).path).name or "pack.zip"))
    place = hub_place(archive)
    if place is not None:
        part = WeightPart(role="face_pack", kind="face_pack", key="face_pack.archive", location=archive)
        _fetch_hub(place, part, recipe, say)
    return locate(archive.removeprefix("file://"), recipe=recipe.name)


def _downloaded() -> Path:
    return face_pack_folder(".archives")


@contextmanager
def _hub_errors(what: str, recipe: Recipe) -> Iterator[None]:
    """Turn what the hub's library raises into one line with the command to try again with."""
    from huggingface_hub import errors

    again = f"`{fetch_command(recipe.name)}`"
    try:
        yield
    except errors.GatedRepoError as error:
        message = f"{what} can be downloaded only after you accept its licence: do so, set HF_TOKEN, then run {again}"
        raise RunError(Exit.USAGE, message) from error
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.RemoteEntryNotFoundError) as error:
        raise RunError(
            Exit.USAGE, f"{what} is not on the hub (any more), or is private: {type(error).__name__}"
        ) from error
    except errors.HFValidationError as error:
        raise RunError(Exit.USAGE, f"{what} is not a hub id") from error
    except Exception as error:  # of three HTTP libraries, and the disk's
        message = f"{what} could not be fetched ({type(error).__name__}); run {again} when the hub can be reached"
        raise RunError(Exit.UNAVAILABLE, message) from error
