"""Where weights are on this machine, and what they are: a sha256 per role that enters every key. No torch here.

Nothing is downloaded. A location is a local path, a hub id (`owner/name` or `owner/name:file`, looked up in the local
hub cache only), `tiny:<name>`, or the bare name of a face pack.
"""

import hashlib
import json
import logging
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from idgen.errors import Exit, RunError
from idgen.recipes import Recipe

log = logging.getLogger(__name__)

FACE_PACKS = Path("~/.insightface/models")
UNUSED_IN_FACE_PACKS = {"1k3d68.onnx", "2d106det.onnx", "genderage.onnx"}
_SHARD = r"(?:-\d{5}-of-\d{5})?"
COMPONENTS = ("unet", "vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "scheduler")
"""Of a base; what else a folder holds (safety checker, single-file copies) is never loaded."""


def locate(location: str, revision: str | None = None) -> Path:
    """Return the local file or folder that `location` names.

    Raises RunError(USAGE) that says what is missing and how to give it.
    """
    if not location:
        raise RunError(Exit.USAGE, "the recipe names no weights here; give a local path or a hub id")
    if location.startswith("tiny:"):
        from idgen.tiny import world

        return world.locate(location.removeprefix("tiny:"))
    path = Path(location).expanduser()
    if path.exists():
        return path.resolve()
    if "/" not in location:
        return _face_pack(location)
    if location.startswith(("/", "./", "../", "~")):
        raise RunError(Exit.USAGE, f"weights {location} do not exist on {os.uname().nodename}")
    return _in_hub_cache(location, revision)


def identity(recipe: Recipe, *, cache: Path | None) -> dict[str, str]:
    """Return the sha256 of everything `recipe` loads, by role: the models' and the face pack's.

    `cache` is a JSON file that spares hashing unchanged files again (None = hash all). Raises RunError(USAGE) when
    weights are missing or differ from a pinned sha256.
    """
    return {**model_identity(recipe, cache=cache), **face_pack_identity(recipe, cache=cache)}


def model_identity(recipe: Recipe, *, cache: Path | None) -> dict[str, str]:
    """Return what a sampling node loads: base, vae if it is not the base's own, `adapter:<name>` each."""
    hashes = _HashCache(cache)
    own_vae = not recipe.base.vae
    base = _base_files(locate(recipe.base.weights, recipe.base.revision), own_vae)
    roles = {"base": _tree_hash(base, hashes)}
    if not own_vae:
        roles["vae"] = _tree_hash(_named(vae := locate(recipe.base.vae), _component_files(vae, None)), hashes)
    for spec in recipe.adapters:
        path = locate(spec.weights)
        found = hashes.sha256(path)
        if spec.sha256 is not None and spec.sha256.lower() != found:
            raise RunError(
                Exit.USAGE,
                f"recipe {recipe.name}: {path} has sha256 {found}, but the recipe pins {spec.sha256}; "
                "put the right file there, or mend or drop the pin",
            )
        roles[f"adapter:{spec.name}"] = found
    hashes.save()
    return roles


def face_pack_identity(recipe: Recipe, *, cache: Path | None) -> dict[str, str]:
    """Return what a face node loads: face_pack."""
    hashes = _HashCache(cache)
    roles = {"face_pack": _tree_hash(_face_pack_files(locate(recipe.face_pack.weights)), hashes)}
    hashes.save()
    return roles


def hash_cache() -> Path | None:
    """Return where this machine remembers the hashes of unchanged files; None without a home folder."""
    try:
        return Path("~/.cache/idgen/hashes.json").expanduser()
    except RuntimeError:
        return None


def check_node(recipe: Recipe, found: Mapping[str, str], expected: Mapping[str, str]) -> None:
    """Raise RunError(UNAVAILABLE) when this node holds other weights than the driver, whose hashes are in the keys."""
    differ = [role for role, digest in found.items() if expected.get(role) != digest]
    if differ:
        raise RunError(
            Exit.UNAVAILABLE,
            f"recipe {recipe.name}: {', '.join(differ)} on {os.uname().nodename} differ from the driver's; give all "
            "nodes the same files, or pin a revision",
        )


def weight_variant(folder: Path) -> str | None:
    """Return "fp16" when a base's UNet is stored in that variant only, else None: what diffusers calls `variant`."""
    return "fp16" if not weight_files(folder / "unet", None) and weight_files(folder / "unet", "fp16") else None


def weight_files(folder: Path, variant: str | None) -> list[Path]:
    """Return the files that diffusers and transformers read a component's weights from, shards in order.

    Those of `variant` where there are any, safetensors before pickles; copies of other names (non_ema, openvino) never.
    """
    for tag in dict.fromkeys((variant, None)):
        dot = rf"\.{re.escape(tag)}" if tag else ""
        for ending in ("safetensors", "bin"):
            name = re.compile(
                rf"(?:diffusion_pytorch_model|pytorch_model|model)(?:{dot}{_SHARD}|{_SHARD}{dot})\.{ending}"
            )
            found = [path for path in sorted(folder.glob(f"*.{ending}")) if name.fullmatch(path.name)]
            if found:
                return found
    return []


def _face_pack(name: str) -> Path:
    folder = (FACE_PACKS / name).expanduser()
    if not folder.is_dir():
        raise RunError(
            Exit.USAGE,
            f"{name} is neither a path nor a face pack in {FACE_PACKS}; unpack the pack's .onnx files to {folder}, "
            "or give the path of its folder",
        )
    return folder


def _in_hub_cache(location: str, revision: str | None) -> Path:
    """Look a hub id up; huggingface_hub reads HF_HOME and is told to stay offline."""
    from huggingface_hub import hf_hub_download, snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    repository, _, file = location.partition(":")
    try:
        if file:
            return Path(hf_hub_download(repository, file, revision=revision, local_files_only=True))
        return Path(snapshot_download(repository, revision=revision, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError, FileNotFoundError) as error:
        at = f" at revision {revision}" if revision else ""
        raise RunError(
            Exit.USAGE,
            f"weights {location}{at} are neither a local path nor in the local hub cache of {os.uname().nodename}, and "
            f"nothing is downloaded during a run; fetch {file or repository} first, or give a local path, as in "
            "overrides.<recipe>.base.weights=/models/base or overrides.<recipe>.adapters.0.weights=/models/adapter.bin",
        ) from error


def _base_files(folder: Path, own_vae: bool) -> list[tuple[str, Path]]:
    """Return (name, file) of everything in a diffusers folder that decides a picture."""
    if not (folder / "unet").is_dir():
        raise RunError(Exit.USAGE, f"{folder} is no base in diffusers layout: it has no unet folder")
    variant = weight_variant(folder)
    components = [name for name in COMPONENTS if own_vae or name != "vae"]
    return _named(folder, (path for name in components for path in _component_files(folder / name, variant)))


def _named(folder: Path, files: Iterable[Path]) -> list[tuple[str, Path]]:
    return [(path.relative_to(folder).as_posix(), path) for path in files]


def _component_files(folder: Path, variant: str | None) -> Iterator[Path]:
    """Yield a component's settings, and its weights in the one form that is loaded."""
    yield from weight_files(folder, variant)
    files = [path for path in sorted(folder.iterdir()) if path.is_file()] if folder.is_dir() else []
    yield from (path for path in files if path.suffix in (".json", ".txt", ".model") and ".index." not in path.name)


def _face_pack_files(folder: Path) -> list[tuple[str, Path]]:
    """Return the pack's networks, without those that idgen never loads."""
    files = [path for path in sorted(folder.glob("*.onnx")) if path.name not in UNUSED_IN_FACE_PACKS]
    if not files:
        raise RunError(Exit.USAGE, f"face pack {folder} has no .onnx files")
    return [(path.name, path) for path in files]


def _tree_hash(files: list[tuple[str, Path]], hashes: "_HashCache") -> str:
    """One sha256 over names and contents; where the folder lies makes no difference."""
    lines = "".join(f"{name}\0{hashes.sha256(path)}\n" for name, path in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()


class _HashCache:
    """sha256 by path, size and time of change."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._entries: dict[str, list[int | str]] = {}
        self._changed = False
        if path is not None:
            with suppress(OSError, ValueError, TypeError):  # no cache, or a damaged one, costs time, nothing else
                self._entries = dict(json.loads(path.read_text()))

    def sha256(self, path: Path) -> str:
        """Return the file's sha256. Raises RunError when it is not a file."""
        real = path.resolve()
        if not real.is_file():
            raise RunError(Exit.USAGE, f"weights file {path} does not exist")
        stat = real.stat()
        entry = self._entries.get(str(real))
        if entry is not None and entry[:2] == [stat.st_size, stat.st_mtime_ns]:
            return str(entry[2])
        with real.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self._entries[str(real)] = [stat.st_size, stat.st_mtime_ns, digest]
        self._changed = True
        return digest

    def save(self) -> None:
        """Write the cache back; drivers that run at once lose each other's entries, never the file."""
        if self._path is None or not self._changed:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=self._path.parent)
            try:
                with os.fdopen(handle, "w") as file:
                    json.dump(self._entries, file)
                os.replace(temporary, self._path)
            except OSError:
                os.unlink(temporary)
                raise
        except OSError as error:  # a home that cannot be written costs hashing again, nothing else
            log.warning("hashes of weights are not remembered: %s", error)
