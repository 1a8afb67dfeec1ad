"""What a weights file holds, tensor by tensor, taken from a module on the meta device; and the numbers to put there."""

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from math import prod

import numpy as np
import torch
from torch import Tensor, nn

POOL_NUMBERS = 2**22 + 15
"""Random numbers that all tensors share, so that writing waits for the disk alone; no multiple of any layer's width."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One tensor of a file."""

    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def nbytes(self) -> int:
        """Bytes in the file."""
        return prod(self.shape) * self.dtype.itemsize


Table = Mapping[str, Stored]
"""Name in the file -> tensor."""


def table(module: nn.Module, dtype: torch.dtype, prefix: str = "") -> dict[str, Stored]:
    """Return what a file of `module` holds: floats in `dtype`, the rest as it is, names after `prefix`."""
    return {
        prefix + name: Stored(tuple(tensor.shape), dtype if tensor.is_floating_point() else tensor.dtype)
        for name, tensor in module.state_dict().items()
    }


def nbytes(tensors: Table) -> int:
    """Return the bytes of all tensors."""
    return sum(one.nbytes for one in tensors.values())


def pieces(name: str, stored: Stored) -> Iterator[Tensor]:
    """Yield a tensor's numbers in flat pieces, which are views: they depend on name and shape only.

    Matrices and filters have standard deviation 1 / sqrt(inputs), so that activations stay near 1 also in float16;
    norms are 1, biases and counters 0.
    """
    count = prod(stored.shape)
    if not stored.dtype.is_floating_point or name.endswith((".bias", "_bias", "running_mean")):
        yield torch.zeros(count, dtype=stored.dtype)
    elif len(stored.shape) <= 1 and name.endswith(("weight", "running_var")):
        yield torch.ones(count, dtype=stored.dtype)
    else:
        pool = _pool(max(1, prod(stored.shape[1:])) ** -0.5, stored.dtype)
        start = zlib.crc32(name.encode()) % POOL_NUMBERS
        while count:
            piece = pool[start : start + count]
            yield piece
            count, start = count - len(piece), 0


@lru_cache(maxsize=16)
def _pool(scale: float, dtype: torch.dtype) -> Tensor:
    """Return the shared numbers, scaled; equal layers follow each other in a file, so few are needed at a time."""
    return (_unscaled_pool() * scale).to(dtype)


@cache
def _unscaled_pool() -> Tensor:
    return torch.from_numpy(np.random.Generator(np.random.PCG64(0)).standard_normal(POOL_NUMBERS, np.float32))
