"""Random weights that depend on a tensor's name and shape only: equal names give equal bytes, in any order."""

import zlib
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

Module = TypeVar("Module", bound=nn.Module)

Gain = Callable[[str], float]
"""Factor on a tensor's usual size, by its name."""


def draw(name: str, shape: tuple[int, ...], gain: float = 1.0) -> Tensor:
    """Return a float32 tensor: matrices and filters with standard deviation gain / sqrt(inputs), vectors with gain."""
    seed = zlib.crc32(f"{name} {shape}".encode())
    values = np.random.Generator(np.random.PCG64(seed)).standard_normal(shape, np.float32)
    inputs = int(np.prod(shape[1:]))
    return torch.from_numpy(values * np.float32(gain / max(1, inputs) ** 0.5))


def fill(module: Module, name: str, gain: Gain = lambda _: 1.0) -> Module:
    """Draw every parameter of `module` and return it; norms become 1 plus, biases 0 plus a tenth of a draw."""
    norms = {id(part.weight) for part in module.modules() if isinstance(part, nn.GroupNorm | nn.LayerNorm)}
    with torch.no_grad():
        for key, parameter in module.named_parameters():
            factor = gain(key)
            if parameter.ndim == 1:
                base = 1.0 if id(parameter) in norms else 0.0
                parameter.copy_(base + draw(f"{name}.{key}", tuple(parameter.shape), 0.1 * factor))
            else:
                parameter.copy_(draw(f"{name}.{key}", tuple(parameter.shape), factor))
    return module.requires_grad_(False).eval()
