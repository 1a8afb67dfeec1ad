"""A world in few megabytes: `pack(world, folder)` writes what idgen/tiny/packed.py unpacks."""

import hashlib
import json
import shutil
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.torch import load_file, save, save_file
from torch import Tensor

from idgen.tiny.packed import INDEX, tensor_name


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
            tensors = {tensor_name(tensor): tensor for tensor in parts[0].values()}
            room = rooms.setdefault(name.partition("/")[0].removesuffix(".safetensors"), {})
            room.update({one: tensor for one, tensor in tensors.items() if one not in known})
            known |= tensors.keys()
            files[name] |= {"tensors": {key: tensor_name(one) for key, one in parts[0].items()}, "metadata": parts[1]}
    for name, room in rooms.items():
        (folder / f"{name}.z").write_bytes(squeeze(save(room)))
    (folder / INDEX).write_text(json.dumps(files, indent=1), encoding="utf-8")
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def squeeze(data: bytes) -> bytes:
    """Return `data` deflated: its bytes at even places, then those at odd ones, so that exponents lie together."""
    whole = np.frombuffer(data, np.uint8)
    return zlib.compress(whole[::2].tobytes() + whole[1::2].tobytes(), 9)


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


def _sum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
