"""Writes weights files tensor after tensor, so that no model is ever whole in memory.

`fill=False` writes the same file without its numbers: names, shapes and size are there, the disk holds nothing.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, cast

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from idgen.full_size.tables import Stored, Table, nbytes, pieces

DTYPE_NAMES = {torch.float16: "F16", torch.float32: "F32", torch.int64: "I64"}
"""Of a .safetensors header."""


def write_safetensors(path: Path, tensors: Table, *, fill: bool = True) -> None:
    """Write one .safetensors file."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, one in tensors.items():
        header[name] = {
            "dtype": DTYPE_NAMES[one.dtype],
            "shape": one.shape,
            "data_offsets": [end, end + one.nbytes],
        }
        end += one.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        if fill:
            for name, one in tensors.items():
                _write(file, name, one)
        file.truncate(8 + len(text) + end)


def write_shards(folder: Path, tensors: Table, count: int, *, fill: bool = True) -> None:
    """Write `count` files of about equal size and the index that libraries find them by, under transformers' names."""
    total, done = nbytes(tensors), 0
    places: dict[str, int] = {}
    for name, one in tensors.items():
        places[name] = min(count - 1, done * count // total)
        done += one.nbytes
    names = [f"model-{number + 1:05d}-of-{count:05d}.safetensors" for number in range(count)]
    for number, file in enumerate(names):
        part = {name: one for name, one in tensors.items() if places[name] == number}
        write_safetensors(folder / file, part, fill=fill)
    index = {"metadata": {"total_size": total}, "weight_map": {name: names[at] for name, at in places.items()}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1))


def write_pickle(path: Path, tables: Mapping[str, Table] | Table, *, fill: bool = True) -> None:
    """Write a file as torch.save makes it: flat names, or tables of them, as {"image_proj": …, "ip_adapter": …}.

    torch writes it without the numbers first, which then go where it left room for them.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with FakeTensorMode():
        state = {
            name: _empty(one) if isinstance(one, Stored) else {inner: _empty(each) for inner, each in one.items()}
            for name, one in tables.items()
        }
        with torch.serialization.skip_data(materialize_fake_tensors=True):
            torch.save(state, path)
        places = {name: _place(tensor) for name, tensor in _flat(torch.load(path))}
    if not fill:
        return
    with path.open("r+b") as file:
        for name, one in _flat(tables):
            file.seek(places[name])
            _write(file, name, cast(Stored, one))


def _empty(one: Stored) -> torch.Tensor:
    return torch.empty(one.shape, dtype=one.dtype)


def _place(tensor: object) -> int:
    """Return where a file has the numbers of a tensor that was read from it as a fake one."""
    offset = cast(torch.Tensor, tensor).untyped_storage()._checkpoint_offset
    assert offset is not None
    return offset


def _flat(tables: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    for name, one in tables.items():
        if isinstance(one, Mapping):
            yield from ((f"{name}.{inner}", each) for inner, each in one.items())
        else:
            yield name, one


def _write(file: BinaryIO, name: str, one: Stored) -> None:
    for piece in pieces(name, one):
        file.write(piece.numpy().data.cast("B"))
