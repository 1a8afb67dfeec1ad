"""The small networks that turn an identity into tokens. Sizes are read from the weights, never assumed.

Module names are the official keys; the bigger ones are in resampler.py. Equal to tencent-ailab/IP-Adapter's
(tests/golden).
Weights on the meta device load as well, so that full-size layouts can be checked without their gigabytes.
"""

from collections.abc import Mapping
from typing import ClassVar, TypeVar

import torch
from torch import Tensor, nn

from idgen.errors import Exit, RunError
from idgen.networks.stored import StoredLinear

M = TypeVar("M", bound=nn.Module)


class ImageProjection(nn.Module):
    """IP-Adapter: a picture's projected embedding -> T tokens."""

    def __init__(self, embedding_width: int, tokens: int, token_width: int) -> None:
        super().__init__()
        self.feature_width, self.token_width = embedding_width, token_width
        self.proj = StoredLinear(embedding_width, tokens * token_width)
        self.norm = nn.LayerNorm(token_width)

    def forward(self, embedding: Tensor) -> Tensor:
        """Return tokens [n, T, D] of `image_embeds` [n, E]."""
        out: Tensor = self.norm(self.proj(embedding).unflatten(-1, (-1, self.token_width)))
        return out

    @classmethod
    def from_weights(cls, weights: Mapping[str, Tensor], source: str) -> "ImageProjection":
        """Return the module with `weights` (`proj.weight` ... `norm.bias`), float32. Raises RunError as `fill`."""
        keys_of(weights, {*linear_keys("proj"), *linear_keys("norm")}, source)
        tokens, token_width = token_shape(weights, "proj.weight", source)
        _, embedding_width = dimensions(weights, "proj.weight", 2, source)
        with torch.device("meta"):
            module = cls(embedding_width, tokens, token_width)
        return fill(module, weights, source)


class MlpProjection(nn.Module):
    """IP-Adapter-Full-Face: every hidden state of a picture becomes a token."""

    def __init__(self, feature_width: int, hidden_width: int, token_width: int) -> None:
        super().__init__()
        self.feature_width, self.token_width = feature_width, token_width
        self.proj = nn.Sequential(
            StoredLinear(feature_width, hidden_width),
            nn.GELU(),
            StoredLinear(hidden_width, token_width),
            nn.LayerNorm(token_width),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return tokens [n, L, D] of `features` [n, L, F]."""
        out: Tensor = self.proj(features)
        return out

    @classmethod
    def from_weights(cls, weights: Mapping[str, Tensor], source: str) -> "MlpProjection":
        """Return the module with `weights` (`proj.0.weight` ... `proj.3.bias`), float32. Raises RunError as `fill`."""
        keys_of(weights, {key for number in (0, 2, 3) for key in linear_keys(f"proj.{number}")}, source)
        hidden_width, feature_width = dimensions(weights, "proj.0.weight", 2, source)
        (token_width,) = dimensions(weights, "proj.3.weight", 1, source)
        with torch.device("meta"):
            module = cls(feature_width, hidden_width, token_width)
        return fill(module, weights, source)


class FaceIdProjection(nn.Module):
    """IP-Adapter-FaceID's MLP: a face's embedding -> T tokens."""

    keys: ClassVar[set[str]] = {
        f"{layer}.{kind}" for layer in ("proj.0", "proj.2", "norm") for kind in ("weight", "bias")
    }

    def __init__(self, embedding_width: int, hidden_width: int, tokens: int, token_width: int) -> None:
        super().__init__()
        self.embedding_width, self.token_width = embedding_width, token_width
        self.proj = nn.Sequential(
            StoredLinear(embedding_width, hidden_width), nn.GELU(), StoredLinear(hidden_width, tokens * token_width)
        )
        self.norm = nn.LayerNorm(token_width)

    def forward(self, embedding: Tensor) -> Tensor:
        """Return tokens [n, T, D] of normalised embeddings [n, 512]."""
        tokens = self.proj(embedding).unflatten(-1, (-1, self.token_width))
        out: Tensor = self.norm(tokens)
        return out

    @classmethod
    def from_weights(cls, weights: Mapping[str, Tensor], source: str) -> "FaceIdProjection":
        """Return the module with `weights` (`proj.0.weight` ... `norm.bias`), float32. Raises RunError as `fill`."""
        keys_of(weights, cls.keys, source)
        sizes = cls.sizes(weights, source)
        with torch.device("meta"):
            module = cls(*sizes)
        return fill(module, weights, source)

    @staticmethod
    def sizes(weights: Mapping[str, Tensor], source: str) -> tuple[int, int, int, int]:
        """Return embedding width, hidden width, tokens, token width."""
        hidden_width, embedding_width = dimensions(weights, "proj.0.weight", 2, source)
        return embedding_width, hidden_width, *token_shape(weights, "proj.2.weight", source)


def linear_keys(name: str) -> tuple[str, str]:
    """Return the two keys of a linear layer or a norm."""
    return f"{name}.weight", f"{name}.bias"


def dimensions(weights: Mapping[str, Tensor], name: str, count: int, source: str) -> tuple[int, ...]:
    """Return the shape of `weights[name]`, which has `count` dimensions. Raises RunError when it has not."""
    shape = tuple(weights[name].shape)
    if len(shape) != count or 0 in shape:
        raise RunError(Exit.USAGE, f"{source}: image_proj {name} is {shape}, but must have {count} dimensions")
    return shape


def token_shape(weights: Mapping[str, Tensor], last: str, source: str) -> tuple[int, int]:
    """Return number and width of the tokens that the linear layer `last` and `norm` make. Raises RunError."""
    (token_width,) = dimensions(weights, "norm.weight", 1, source)
    rows, _ = dimensions(weights, last, 2, source)
    if rows % token_width:
        raise RunError(Exit.USAGE, f"{source}: image_proj does not give a whole number of tokens {token_width} wide")
    return rows // token_width, token_width


def fill(module: M, weights: Mapping[str, Tensor], source: str) -> M:
    """Put `weights` into `module` (made on the meta device), frozen; matrices as they are stored, the rest float32.

    Raises RunError when keys are missing, unknown, or of shapes that do not fit; `source` names the file in it.
    """
    for name, place in module.state_dict().items():
        if name in weights and weights[name].shape != place.shape:
            raise RunError(
                Exit.USAGE,
                f"{source}: image_proj {name} is {tuple(weights[name].shape)}, but {tuple(place.shape)} fits the rest",
            )
    keys_of(weights, set(module.state_dict()), source)
    matrices = {f"{name}.weight" for name, part in module.named_modules() if isinstance(part, StoredLinear)}
    stored = {name: tensor if name in matrices else tensor.float() for name, tensor in weights.items()}
    module.load_state_dict(stored, assign=True)
    return module.requires_grad_(False).eval()


def keys_of(weights: Mapping[str, Tensor], expected: set[str], source: str) -> None:
    """Raise RunError when the keys of an image_proj are not exactly the expected ones."""
    check_keys(weights, expected, source, "image_proj")


RIGHT_KIND = "is `kind` in the recipe right for this file?"


def check_keys(
    weights: Mapping[str, Tensor], expected: set[str], source: str, part: str, remedy: str = RIGHT_KIND
) -> None:
    """Raise RunError when the keys of `part` are not exactly the expected ones; the message shows which.

    `remedy` ends it: what to do about a file that is another.
    """
    missing, unknown = sorted(expected - weights.keys()), sorted(weights.keys() - expected)
    if not missing and not unknown:
        return
    raise RunError(
        Exit.USAGE,
        f"{source}: {part} does not have the layout of its kind: {len(missing)} keys missing {missing[:3]}, "
        f"{len(unknown)} unknown {unknown[:3]}; {remedy}",
    )
