"""Names and shapes of a file's tensors, read without loading them: the header of .safetensors, a mapped pickle."""

import json
import pickle
import struct
from pathlib import Path
from typing import TypedDict

from idgen.errors import Exit, RunError

MAX_HEADER_BYTES = 100 * 2**20
Shapes = dict[str, tuple[int, ...]]


class _Entry(TypedDict):
    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


def shapes_of(path: Path) -> Shapes:
    """Return shapes by flat name (`image_proj.norm.weight`). Raises RunError(USAGE) for what holds no tensors."""
    try:
        return _safetensors(path) if path.suffix == ".safetensors" else _pickle(path)
    except RunError:
        raise
    except pickle.UnpicklingError as error:
        raise RunError(
            Exit.USAGE, f"{path} is a pickle that tries to run code, or is damaged; none of it was run"
        ) from error
    except Exception as error:  # a damaged file makes a parser stumble in ways that nobody lists
        raise RunError(Exit.USAGE, f"{path} cannot be read as weights: {type(error).__name__}") from error


def dtypes_of(path: Path) -> dict[str, str]:
    """Return what the tensors of a .safetensors file are stored as (F16, F8_E4M3, I8), by name. Raises as shapes_of."""
    try:
        return {name: str(entry["dtype"]) for name, entry in _header(path).items()}
    except RunError:
        raise
    except Exception as error:  # as above
        raise RunError(Exit.USAGE, f"{path} cannot be read as weights: {type(error).__name__}") from error


def _safetensors(path: Path) -> Shapes:
    return {name: tuple(entry["shape"]) for name, entry in _header(path).items()}


def _header(path: Path) -> dict[str, _Entry]:
    size = path.stat().st_size
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        if length > min(MAX_HEADER_BYTES, size):
            raise RunError(Exit.USAGE, f"{path} is not a valid .safetensors file")
        header = json.loads(file.read(length))
    tensors: dict[str, _Entry] = {name: entry for name, entry in header.items() if name != "__metadata__"}
    end = max((entry["data_offsets"][1] for entry in tensors.values()), default=0)
    if 8 + length + end != size:
        raise RunError(Exit.USAGE, f"{path} is cut off: it has {size} bytes, but its header says {8 + length + end}")
    return tensors


def _pickle(path: Path) -> Shapes:
    import torch  # seconds to import, and only .bin files need it

    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except RuntimeError:  # the format before torch 1.6 cannot be mapped
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    shapes: Shapes = {}
    _collect("", loaded, shapes, path)
    return shapes


def _collect(prefix: str, value: object, shapes: Shapes, path: Path) -> None:
    if isinstance(value, dict):
        for name, inner in value.items():
            _collect(f"{prefix}.{name}" if prefix else str(name), inner, shapes, path)
    elif hasattr(value, "shape"):
        shapes[prefix] = tuple(value.shape)
    else:
        raise RunError(Exit.USAGE, f"{path} holds something other than tensors under {prefix or 'its top'!r}")
