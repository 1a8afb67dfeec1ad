"""A world in few megabytes: tensors that several files share are stored once. Files come back bit by bit.

    pack(world, folder)      folder/sdxl.z, … for tensors, by the first folder or file that has them, files/<path>.z for
                             what is of another kind, pack.json
    unpack(folder, world)    checks every tensor's and every other file's sum

SDXL's and Kolors' UNets, the bases' autoencoders, InstantID's and EcomID's nets have most tensors in common. Deflated,
float16's halves apart: weights that were rounded to eight bits (train/rounding.py) take a third less.
"""

import hashlib
import json
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, load_file, save, save_file
from torch import Tensor

from idgen.errors import Exit, RunError

INDEX = "pack.json"


def pack(world: Path, folder: Path) -> int:
    """Write `world` into `folder`, which is made anew; return its size in bytes."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    files: dict[str, dict[str, Any]] = {}
    rooms: dict[str, dict[str, Tensor]] = {}
    known: set[str] = set()
    for path in sorted(one for one in world.rglob("*") if one.is_file()):
        name = path.relative_to(world).as_posix()
        files[name] = {"sha256": _sum(path)}
        parts = _parts(path) if path.suffix == ".safetensors" else None
        if parts is None:
            target = folder / "files" / f"{name}.z"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(squeeze(path.read_bytes()))
        else:
            tensors = {_name(tensor): tensor for tensor in parts[0].values()}
            room = rooms.setdefault(name.partition("/")[0].removesuffix(".safetensors"), {})
            room.update({one: tensor for one, tensor in tensors.items() if one not in known})
            known |= tensors.keys()
            files[name] |= {"tensors": {key: _name(one) for key, one in parts[0].items()}, "metadata": parts[1]}
    for name, room in rooms.items():
        (folder / f"{name}.z").write_bytes(squeeze(save(room)))
    (folder / INDEX).write_text(json.dumps(files, indent=1), encoding="utf-8")
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


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
            Exit.USAGE, f"{folder} is damaged, check it out or install idgen again: {type(error).__name__}: {error}"
        ) from error


def _tensors(folder: Path) -> dict[str, Tensor]:
    """Return every tensor of the pack by its name, which is proven."""
    tensors: dict[str, Tensor] = {}
    for room in sorted(folder.glob("*.z")):
        for name, tensor in load(unsqueeze(room.read_bytes())).items():
            if _name(tensor) != name:
                raise ValueError(f"{room.name} holds another tensor than {name}")
            tensors[name] = tensor
    return tensors


def _whole(path: Path, sha256: str) -> bytes:
    data = unsqueeze(path.read_bytes())
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ValueError(f"{path.name} does not come out as it went in")
    return data


def squeeze(data: bytes) -> bytes:
    """Return `data` deflated: its bytes at even places, then those at odd ones, so that exponents lie together."""
    whole = np.frombuffer(data, np.uint8)
    return zlib.compress(whole[::2].tobytes() + whole[1::2].tobytes(), 9)


def unsqueeze(data: bytes) -> bytes:
    """Return what was squeezed."""
    halves = np.frombuffer(zlib.decompress(data), np.uint8)
    whole, even = np.empty_like(halves), (len(halves) + 1) // 2
    whole[::2], whole[1::2] = halves[:even], halves[even:]
    return whole.tobytes()


def _parts(path: Path) -> tuple[dict[str, Tensor], dict[str, str] | None] | None:
    """Return tensors and metadata of a file; None when writing them again would give other bytes."""
    with safe_open(path, "pt") as opened:
        metadata = opened.metadata()
    tensors = load_file(path)
    again = path.with_suffix(".again")
    save_file(tensors, again, metadata)
    same = _sum(again) == _sum(path)
    again.unlink()
    return (tensors, metadata) if same else None


def _name(tensor: Tensor) -> str:
    """What a tensor is called by: its content."""
    seen = tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b""
    return hashlib.sha256(f"{tensor.dtype} {tuple(tensor.shape)}".encode() + seen).hexdigest()[:16]


def _sum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
