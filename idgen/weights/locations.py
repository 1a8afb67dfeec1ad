"""From a location to a path: local, in the hub cache, of a scheme such as `tiny:`, fetched from a web address, or a
face pack by its bare name."""

import hashlib
import os
import re
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from urllib.parse import urlsplit

from idgen.errors import Exit, RunError
from idgen.installation import job_command
from idgen.sources.redact import redact_text

FACE_PACKS = Path("~/.insightface/models")
DOWNLOADS = Path("~/.cache/idgen/downloads")
"""Of single files from web addresses."""
SCHEMES = {"tiny": "idgen.tiny.world", "drawn": "idgen.tiny.drawn"}
"""Scheme of a location -> the module whose `locate(name)` returns the path of `<scheme>:<name>`.

The demo's weights are above this room, which knows them by name only: a module is imported when one of its locations is
first asked for. So the table holds in every process, in Ray's actors too, and nobody fills it.
"""
_HUB_ID = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+)(?::(?P<path>[^:]+))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class HubPlace:
    """A hub id taken apart."""

    repository: str
    path: str
    """File or folder inside the repository; empty = all of it."""


def hub_place(location: str) -> HubPlace | None:
    """Return what a hub id names; None for a path, an address, one of SCHEMES and the name of a face pack."""
    if _scheme(location) or location.startswith(("/", "./", "../", "~")) or Path(location).exists():
        return None
    match = _HUB_ID.fullmatch(location)
    if match is None or ".." in (match["path"] or "").split("/"):
        return None
    return HubPlace(match["repository"], (match["path"] or "").strip("/"))


def locate(location: str, revision: str | None = None, *, recipe: str = "<name>") -> Path:
    """Return the local file or folder that `location` names; nothing is downloaded.

    Raises RunError(USAGE) that says what is missing and how to get it for `recipe`.
    """
    if not location:
        raise RunError(Exit.USAGE, "the recipe names no weights here; give a local path or a hub id")
    if is_address(location):
        return _fetched(location, recipe)
    scheme = _scheme(location)
    if scheme:
        found = import_module(SCHEMES[scheme]).locate(location.removeprefix(f"{scheme}:"))
        assert isinstance(found, Path)
        return found
    path = Path(location).expanduser()
    if path.exists():
        return _unnested(path.resolve())
    if "/" not in location:
        return _face_pack(location, recipe)
    place = hub_place(location)
    if place is None:
        raise RunError(Exit.USAGE, f"weights {location} do not exist on {os.uname().nodename}")
    kept = cached(place, revision)
    if kept is None:
        raise _not_cached(location, revision, recipe)
    return kept


def is_address(location: str) -> bool:
    """Tell whether `location` is a web address, of a file that is on no hub (facexlib's parsing_bisenet.pth)."""
    return location.startswith(("http://", "https://"))


def fetched_file(address: str) -> Path:
    """Return where the file of a web address belongs on this machine; equal names of two hosts or paths do not meet.

    What follows a `?` does not count: it may be tonight's signature.
    """
    parts = urlsplit(address)
    digest = hashlib.sha256(f"{parts.netloc}{parts.path}".encode()).hexdigest()[:12]
    return (DOWNLOADS / digest / (Path(parts.path).name or "file")).expanduser()


def face_pack_folder(name: str) -> Path:
    """Return where a face pack of that name belongs."""
    return (FACE_PACKS / name).expanduser()


def fetch_command(recipe: str) -> str:
    """Return the command that gets a recipe's weights."""
    return f"{job_command('weights')} fetch recipe={recipe}"


def cached(place: HubPlace, revision: str | None) -> Path | None:
    """Return the file or folder in the hub cache, None when it is not there.

    Looks by itself, as the library calls a snapshot of which only some files were asked for incomplete.
    """
    from huggingface_hub import constants

    storage = Path(constants.HF_HUB_CACHE) / f"models--{place.repository.replace('/', '--')}"
    reference = storage / "refs" / (revision or "main")
    commit = reference.read_text().strip() if reference.is_file() else revision
    if not commit:
        return None
    path = storage / "snapshots" / commit / place.path
    return path if path.exists() else None


def _scheme(location: str) -> str:
    """Return which of SCHEMES a location has, "" where it has none."""
    scheme, colon, _ = location.partition(":")
    return scheme if colon and scheme in SCHEMES else ""


def _fetched(address: str, recipe: str) -> Path:
    path = fetched_file(address)
    if not path.is_file():
        raise RunError(
            Exit.USAGE,
            f"{redact_text(address.partition('?')[0])} is not on {os.uname().nodename}, and nothing is downloaded "
            f"during a run; get it with `{fetch_command(recipe)}`, or give the path of a file that you have",
        )
    return path


def _face_pack(name: str, recipe: str) -> Path:
    folder = face_pack_folder(name)
    if not folder.is_dir():
        raise RunError(
            Exit.USAGE,
            f"{name} is neither a path nor a face pack in {FACE_PACKS}; get it with `{fetch_command(recipe)}`, or "
            f"unpack the pack's .onnx files to {folder}, or give the path of its folder",
        )
    return _unnested(folder)


def _unnested(folder: Path) -> Path:
    """Return the folder with a face pack's networks: antelopev2's archive has a folder antelopev2 of its own inside,
    and unpacked by hand leaves antelopev2/antelopev2.
    """
    inner = folder
    while not any(inner.glob("*.onnx")):
        inner = inner / folder.name
        if not inner.is_dir():
            return folder
    return inner


def _not_cached(location: str, revision: str | None, recipe: str) -> RunError:
    at = f" at revision {revision}" if revision else ""
    return RunError(
        Exit.USAGE,
        f"weights {location}{at} are neither a local path nor in the local hub cache of {os.uname().nodename}, and "
        f"nothing is downloaded during a run; get them with `{fetch_command(recipe)}`, or give a local path, for "
        f"example overrides.{recipe}.base.weights=/models/base or "
        f"overrides.{recipe}.adapters.0.weights=/models/adapter.bin",
    )
