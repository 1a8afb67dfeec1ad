"""Perceivers: a few latents look at a picture's many features and become its tokens.

`Resampler` brings learned latents (IP-Adapter-Plus), `FaceIdPlusProjection` makes them from a face's embedding. Equal
to tencent-ailab/IP-Adapter's and Kolors' classes of those jobs (tests/golden), whose key names the modules bear.
"""

import re
from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from idgen.errors import Exit, RunError
from idgen.networks.projections import FaceIdProjection, dimensions, fill, keys_of, linear_keys
from idgen.networks.stored import StoredLinear

HEAD_WIDTH = 64
"""Of every published file; the number of heads is the rows of to_q over it."""


class PerceiverAttention(nn.Module):
    """Latents look at the features and at themselves."""

    def __init__(self, width: int, inner_width: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.to_q = StoredLinear(width, inner_width, bias=False)
        self.to_kv = StoredLinear(width, 2 * inner_width, bias=False)
        self.to_out = StoredLinear(inner_width, width, bias=False)

    def forward(self, features: Tensor, latents: Tensor) -> Tensor:
        """Return what to add to `latents` [n, T, W] after a look at `features` [n, L, W]."""
        latents = self.norm2(latents)
        key, value = self.to_kv(torch.cat([self.norm1(features), latents], dim=1)).chunk(2, dim=-1)
        query, key, value = (
            part.unflatten(-1, (-1, HEAD_WIDTH)).transpose(1, 2) for part in (self.to_q(latents), key, value)
        )
        seen = functional.scaled_dot_product_attention(query, key, value)
        out: Tensor = self.to_out(seen.transpose(1, 2).flatten(2))
        return out


class Perceiver(nn.Module):
    """Layers of attention and feed-forward between two projections."""

    def __init__(self, feature_width: int, width: int, inner_width: int, token_width: int, depth: int) -> None:
        super().__init__()
        self.feature_width, self.token_width = feature_width, token_width
        self.proj_in = StoredLinear(feature_width, width)
        self.proj_out = StoredLinear(width, token_width)
        self.norm_out = nn.LayerNorm(token_width)
        self.layers = nn.ModuleList(
            nn.ModuleList([PerceiverAttention(width, inner_width), feed_forward(width)]) for _ in range(depth)
        )

    def look(self, latents: Tensor, features: Tensor) -> Tensor:
        """Return tokens [n, T, D] of `latents` [n, T, W] after all layers looked at `features` [n, L, F]."""
        features = self.proj_in(features)
        for layer in self.layers:
            attention, feed_forward = cast(nn.ModuleList, layer)
            latents = attention(features, latents) + latents
            latents = feed_forward(latents) + latents
        out: Tensor = self.norm_out(self.proj_out(latents))
        return out


class FacePerceiver(Perceiver):
    """A Perceiver that is given its latents."""

    def forward(self, latents: Tensor, features: Tensor) -> Tensor:
        """See `look`."""
        return self.look(latents, features)


class Resampler(Perceiver):
    """IP-Adapter-Plus: hidden states of a picture -> T tokens."""

    def __init__(
        self, feature_width: int, width: int, inner_width: int, token_width: int, depth: int, tokens: int
    ) -> None:
        super().__init__(feature_width, width, inner_width, token_width, depth)
        self.latents = nn.Parameter(torch.zeros(1, tokens, width))

    def forward(self, features: Tensor) -> Tensor:
        """Return tokens [n, T, D] of `features` [n, L, F]."""
        return self.look(self.latents.expand(len(features), -1, -1), features)

    @classmethod
    def from_weights(cls, weights: Mapping[str, Tensor], source: str) -> "Resampler":
        """Return the module with `weights` (`latents`, `proj_in.weight`, ...), float32. Raises RunError as `fill`."""
        expected = {"latents", *_perceiver_keys(weights)}
        keys_of(weights, expected, source)
        _, tokens, _ = dimensions(weights, "latents", 3, source)
        sizes = _perceiver_sizes(weights, source)
        with torch.device("meta"):
            module = cls(*sizes, tokens=tokens)
        return fill(module, weights, source)


class FaceIdPlusProjection(FaceIdProjection):
    """IP-Adapter-FaceID-Plus: tokens of the embedding look at the hidden states of the cut out face."""

    def __init__(
        self, embedding_width: int, hidden_width: int, tokens: int, token_width: int, perceiver: FacePerceiver
    ) -> None:
        super().__init__(embedding_width, hidden_width, tokens, token_width)
        self.feature_width = perceiver.feature_width
        self.perceiver_resampler = perceiver

    def look(self, embedding: Tensor, features: Tensor, shortcut_scale: float | None) -> Tensor:
        """Return tokens [n, T, D] of embeddings [n, 512] and hidden states [n, L, F].

        A `shortcut_scale` makes it version 2, or Kolors': its product with what version 1 gives is added to the
        embedding's tokens.
        """
        plain = self(embedding)
        seen: Tensor = self.perceiver_resampler(plain, features)
        return seen if shortcut_scale is None else plain + shortcut_scale * seen

    @classmethod
    def from_weights(cls, weights: Mapping[str, Tensor], source: str) -> "FaceIdPlusProjection":
        """Return the module with `weights` (`proj.0.weight` ... `perceiver_resampler.*`), float32.

        Raises RunError as `fill`.
        """
        prefix = "perceiver_resampler."
        inner = {name.removeprefix(prefix): one for name, one in weights.items() if name.startswith(prefix)}
        expected = {prefix + name for name in _perceiver_keys(inner)}
        keys_of(weights, expected | cls.keys, source)
        sizes, inner_sizes = cls.sizes(weights, source), _perceiver_sizes(inner, source)
        with torch.device("meta"):
            module = cls(*sizes, FacePerceiver(*inner_sizes))
        return fill(module, weights, source)


def feed_forward(width: int) -> nn.Sequential:
    """Return the two-layer network that follows every attention of perceivers, four times as wide inside."""
    return nn.Sequential(
        nn.LayerNorm(width),
        StoredLinear(width, 4 * width, bias=False),
        nn.GELU(),
        StoredLinear(4 * width, width, bias=False),
    )


def depth_of(weights: Mapping[str, Tensor]) -> int:
    """Return the number of layers that the keys speak of, at least one."""
    numbers = [int(found[1]) for name in weights if (found := re.match(r"layers\.(\d{1,3})\.", name))]
    return max(numbers, default=0) + 1


def _perceiver_keys(weights: Mapping[str, Tensor]) -> set[str]:
    """Return the keys that a perceiver of as many layers as `weights` has must have."""
    layer = {"0.to_q.weight", "0.to_kv.weight", "0.to_out.weight", "1.1.weight", "1.3.weight"}
    layer |= {*linear_keys("0.norm1"), *linear_keys("0.norm2"), *linear_keys("1.0")}
    ends = {*linear_keys("proj_in"), *linear_keys("proj_out"), *linear_keys("norm_out")}
    return ends | {f"layers.{number}.{name}" for number in range(depth_of(weights)) for name in layer}


def _perceiver_sizes(weights: Mapping[str, Tensor], source: str) -> tuple[int, int, int, int, int]:
    """Return feature width, width, inner width, token width, depth; `fill` finds what does not fit them."""
    width, feature_width = dimensions(weights, "proj_in.weight", 2, source)
    inner_width, _ = dimensions(weights, "layers.0.0.to_q.weight", 2, source)
    token_width, _ = dimensions(weights, "proj_out.weight", 2, source)
    if inner_width % HEAD_WIDTH:
        raise RunError(
            Exit.USAGE,
            f"{source}: image_proj's attention is {inner_width} wide, not a multiple of its heads' {HEAD_WIDTH}",
        )
    return feature_width, width, inner_width, token_width, depth_of(weights)
