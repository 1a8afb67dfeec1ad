"""Unpacks a packed world: tensors that several files share are stored once. Files come back bit by bit.

    folder/sdxl.z, …         tensors, by the first folder or file that has them
    folder/files/<path>.z    what is of another kind
    folder/pack.json         every file with its sum, and its tensors' names

SDXL's and Kolors' UNets, the bases' autoencoders, InstantID's and EcomID's nets have most tensors in common. Deflated,
float16's halves apart: weights that were rounded to eight bits take a third less. tests/drawn_world/packing.py packs.
"""

import hashlib
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor

from idgen.errors import Exit, RunError

INDEX = "pack.json"


def unpack(folder: Path, world: Path) -> None:
    """Write the files of the pack in `folder` into `world`, which is made.

    Raises RunError when the pack is damaged, OSError or SafetensorError when `world` cannot be written.
    """
    with _reading(folder):
        files: dict[str, dict[str, Any]] = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        tensors = _tensors(folder)
    for name, facts in files.items():
        path = world / name
        with _reading(folder):
            if not path.resolve().is_relative_to(world.resolve()):
                raise ValueError(f"{name} lies outside")
            # cloned: safetensors writes no two tensors that share memory, as equal biases would
            parts = {key: tensors[one].clone() for key, one in facts.get("tensors", {}).items()}
            data = b"" if parts else _whole(folder / "files" / f"{name}.z", facts["sha256"])
        path.parent.mkdir(parents=True, exist_ok=True)
        if parts:
            save_file(parts, path, facts["metadata"])  # the same bytes by the same release of safetensors
        else:
            path.write_bytes(data)


@contextmanager
def _reading(folder: Path) -> Iterator[None]:
    """Say in words that the pack in `folder` is damaged."""
    try:
        yield
    except (OSError, KeyError, ValueError, zlib.error, SafetensorError) as error:
        raise RunError(
            Exit.USAGE, f"{folder} is damaged, check it out again: {type(error).__name__}: {error}"
        ) from error


def _tensors(folder: Path) -> dict[str, Tensor]:
    """Return every tensor of the pack by its name, which is proven."""
    tensors: dict[str, Tensor] = {}
    for room in sorted(folder.glob("*.z")):
        for name, tensor in load(unsqueeze(room.read_bytes())).items():
            if tensor_name(tensor) != name:
                raise ValueError(f"{room.name} holds another tensor than {name}")
            tensors[name] = tensor
    return tensors


def _whole(path: Path, sha256: str) -> bytes:
    data = unsqueeze(path.read_bytes())
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ValueError(f"{path.name} does not come out as it went in")
    return data


def unsqueeze(data: bytes) -> bytes:
    """Return what was squeezed."""
    halves = np.frombuffer(zlib.decompress(data), np.uint8)
    whole, even = np.empty_like(halves), (len(halves) + 1) // 2
    whole[::2], whole[1::2] = halves[:even], halves[even:]
    return whole.tobytes()


def tensor_name(tensor: Tensor) -> str:
    """Return what a tensor of a pack is called by: 16 hex digits over its content."""
    seen = tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b""
    return hashlib.sha256(f"{tensor.dtype} {tuple(tensor.shape)}".encode() + seen).hexdigest()[:16]
