"""Reads adapter files: .safetensors, or .bin whose pickle holds plain tensors and nothing that runs."""

import hashlib
import pickle
import zipfile
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from idgen.errors import Exit, RunError


def read(path: Path, sha256: str | None = None) -> dict[str, Tensor]:
    """Return the file's tensors by flat name (`image_proj.norm.weight`), on the CPU, in their stored dtype.

    They are pages of the file, which stay what they are when somebody writes to the tensors, and must not be written
    to on the disk meanwhile; a new version of a file goes to its place by renaming.
    Raises RunError(USAGE) when the file is missing, has another sha256 than the pinned one, is damaged, or is a
    pickle that would run code.
    """
    if not path.is_file():
        raise RunError(Exit.USAGE, f"weights file {path} does not exist")
    if sha256 is not None:
        _check_sha256(path, sha256)
    try:
        loaded = load_file(path) if path.suffix == ".safetensors" else _read_pickle(path)
    except pickle.UnpicklingError as error:
        raise RunError(
            Exit.USAGE,
            f"{path} is a pickle that tries to run code, or is damaged; none of it was run. Use the .safetensors "
            "file of these weights, or a .bin that holds tensors only",
        ) from error
    except Exception as error:  # a damaged file makes a parser stumble in ways that nobody lists
        if type(error).__name__ == "SafetensorError":  # which is not exported
            raise RunError(Exit.USAGE, f"{path} is not a valid .safetensors file") from error
        said = f"{type(error).__name__}: {str(error).partition(chr(10))[0][:200]}".removesuffix(": ")
        raise RunError(Exit.USAGE, f"{path} cannot be read as weights: {said}") from error
    return _flatten(loaded, path)


def check_whole(module: nn.Module, source: Path, what: str) -> None:
    """Raise RunError(USAGE) when `module` lacks weights: diffusers leaves those without memory and says nothing."""
    missing = [name for name, tensor in module.named_parameters() if tensor.is_meta]
    if missing:
        raise RunError(Exit.USAGE, f"{source}: {len(missing)} weights of the {what} are missing, such as {missing[0]}")


def _read_pickle(path: Path) -> object:
    """Load with the restricted unpickler, mapped: what is not used is never read, and processes share the rest.

    Files in the format before torch 1.6 cannot be mapped.
    """
    mapped = zipfile.is_zipfile(path)
    loaded: object = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    return loaded


def _check_sha256(path: Path, expected: str) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected.lower():
        raise RunError(Exit.USAGE, f"{path} has sha256 {found}, but the recipe pins {expected}")


def _flatten(loaded: object, path: Path) -> dict[str, Tensor]:
    """{"image_proj": {"norm.weight": t}} -> {"image_proj.norm.weight": t}; flat files pass as they are."""
    if not isinstance(loaded, dict):
        raise RunError(Exit.USAGE, f"{path} does not hold a table of tensors")
    flat: dict[str, Tensor] = {}
    for name, value in loaded.items():
        parts = value.items() if isinstance(value, dict) else [("", value)]
        for inner, tensor in parts:
            if not isinstance(tensor, Tensor):
                raise RunError(Exit.USAGE, f"{path} holds something other than tensors under {name!r}")
            flat[f"{name}.{inner}" if inner else str(name)] = tensor
    return flat
