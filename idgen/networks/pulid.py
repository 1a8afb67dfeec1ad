"""PuLID's encoders: a face's embedding and what EVA02-CLIP sees of it become ID tokens.

IdEncoder is version 1's (EcomID's too): 10 tokens; IdFormer is version 1.1's: 32. Equal to ToTheBeginning/PuLID's
classes of those jobs (tests/golden), whose key names the modules bear. In order: `face_features` -> `EvaTower` ->
`id_cond` -> `encode_v1` or `encode_v1_1`. Tokens come without the zero tokens that PuLID's attention pads with.
"""

from collections.abc import Mapping
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from idgen.errors import Exit, RunError
from idgen.networks import transfers
from idgen.networks.image_encoder import MEAN, STD
from idgen.networks.projections import dimensions, fill, keys_of, linear_keys
from idgen.networks.resampler import HEAD_WIDTH, PerceiverAttention, depth_of, feed_forward
from idgen.networks.stored import StoredLinear

LEVELS = 5
"""Levels of EVA's hidden states that both versions read."""
ID_TOKENS = 5
"""Tokens that the embedding itself becomes; the first 5 of version 1's 10."""
_MLP = (0, 1, 3, 4, 6)
"""Places of the layers with weights in `_mlp`."""

References = Literal["all", "first", "mean"]
"""How the further references of a person join the first one's 10 tokens in version 1: all their tokens ("ID mix"),
only their 5 ID tokens (PuLID's default), or not at all but as the mean of everybody's (EcomID)."""


class IdEncoder(nn.Module):
    """Version 1: 5 tokens of the embedding, then one per level of EVA's hidden states."""

    def __init__(self, cond_width: int, body_width: int, seen_width: int, width: int, token_width: int) -> None:
        super().__init__()
        self.cond_width, self.feature_width, self.token_width = cond_width, seen_width, token_width
        self.body = _mlp(cond_width, body_width, ID_TOKENS * token_width)
        for level in range(LEVELS):
            self.add_module(f"mapping_{level}", _mlp(seen_width, width, token_width))
            self.add_module(f"mapping_patch_{level}", _mlp(seen_width, width, token_width))

    def forward(self, cond: Tensor, hidden_states: Tensor) -> Tensor:
        """Return tokens [n, 10, D] of `cond` [n, 1280] and `hidden_states` [5, n, L, W], class token first."""
        tokens = [self.body(cond).unflatten(-1, (ID_TOKENS, self.token_width))]
        for level, states in enumerate(hidden_states):
            of_class = self.get_submodule(f"mapping_{level}")(states[:, :1])
            of_patches = self.get_submodule(f"mapping_patch_{level}")(states[:, 1:])
            tokens.append(of_class + of_patches.mean(dim=1, keepdim=True))
        return torch.cat(tokens, dim=1)

    @classmethod
    def from_weights(cls, weights: Mapping[str, Tensor], source: str) -> "IdEncoder":
        """Return the module with `weights` (`body.0.weight`, `mapping_0.0.weight`, ...). Raises RunError as `fill`."""
        mappings = {f"mapping_{kind}{level}" for kind in ("", "patch_") for level in range(LEVELS)}
        keys_of(weights, _mlp_keys({"body", *mappings}), source)
        body_width, cond_width = dimensions(weights, "body.0.weight", 2, source)
        width, seen_width = dimensions(weights, "mapping_0.0.weight", 2, source)
        token_width, _ = dimensions(weights, "mapping_0.6.weight", 2, source)
        with torch.device("meta"):
            module = cls(cond_width, body_width, seen_width, width, token_width)
        return fill(module, weights, source)


class IdFormer(nn.Module):
    """Version 1.1: learned queries and the embedding's 5 tokens look at the hidden states, level after level."""

    def __init__(
        self,
        cond_width: int,
        seen_width: int,
        width: int,
        inner_width: int,
        token_width: int,
        queries: int,
        depth: int,
        hidden_widths: tuple[int, int],
    ) -> None:
        """`hidden_widths` are those inside of the networks of the hidden states and of the embedding: EVA's width."""
        super().__init__()
        mapping_width, embedding_width = hidden_widths
        self.cond_width, self.feature_width, self.token_width = cond_width, seen_width, token_width
        self.width = width
        self.latents = nn.Parameter(torch.zeros(1, queries, width))
        self.proj_out = nn.Parameter(torch.zeros(width, token_width))
        self.layers = nn.ModuleList(
            nn.ModuleList([PerceiverAttention(width, inner_width), feed_forward(width)]) for _ in range(LEVELS * depth)
        )
        for level in range(LEVELS):
            self.add_module(f"mapping_{level}", _mlp(seen_width, mapping_width, width))
        self.id_embedding_mapping = _mlp(cond_width, embedding_width, ID_TOKENS * width)

    def forward(self, cond: Tensor, hidden_states: Tensor) -> Tensor:
        """Return tokens [n, 32, D] of n people with r references each.

        `cond` is [n, r, 1280], `hidden_states` [5, n, r*L, W]: the references' one after the other.
        """
        identity = self.id_embedding_mapping(cond).unflatten(-1, (ID_TOKENS, self.width)).flatten(1, 2)  # [n, 5r, w]
        latents = torch.cat([self.latents.expand(len(cond), -1, -1), identity], dim=1)
        depth = len(self.layers) // LEVELS
        for number, layer in enumerate(self.layers):
            if number % depth == 0:
                level = number // depth
                seen = self.get_submodule(f"mapping_{level}")(hidden_states[level])
                features = torch.cat([identity, seen], dim=1)
            attention, feed_forward = cast(nn.ModuleList, layer)
            latents = attention(features, latents) + latents
            latents = feed_forward(latents) + latents
        return latents[:, : self.latents.shape[1]] @ self.proj_out

    @classmethod
    def from_weights(cls, weights: Mapping[str, Tensor], source: str) -> "IdFormer":
        """Return the module with `weights` (`latents`, `proj_out`, `layers.0.0.to_q.weight`, ...).

        Raises RunError as `fill`.
        """
        count = _layer_count(weights)
        keys_of(weights, _former_keys(count), source)
        _, queries, width = dimensions(weights, "latents", 3, source)
        _, token_width = dimensions(weights, "proj_out", 2, source)
        embedding_width, cond_width = dimensions(weights, "id_embedding_mapping.0.weight", 2, source)
        mapping_width, seen_width = dimensions(weights, "mapping_0.0.weight", 2, source)
        inner_width, _ = dimensions(weights, "layers.0.0.to_q.weight", 2, source)
        if inner_width % HEAD_WIDTH:
            raise RunError(
                Exit.USAGE,
                f"{source}: image_proj's attention is {inner_width} wide, not a multiple of its heads' {HEAD_WIDTH}",
            )
        with torch.device("meta"):
            module = cls(
                cond_width,
                seen_width,
                width,
                inner_width,
                token_width,
                queries,
                count // LEVELS,
                (mapping_width, embedding_width),
            )
        return fill(module, weights, source)


def face_features(image: Tensor, side_px: int, *, antialias: bool) -> Tensor:
    """Return EVA's `pixel_values` [n, 3, S, S] of the white and gray face `image` [n, 3, 512, 512], float32 in 0..1.

    Bicubic without a clamp, so what shoots over at edges stays. `antialias` belongs to the recipe: PuLID's authors pin
    a torchvision that does not, EcomID's users have one that does.
    """
    size = (side_px, side_px)
    resized = functional.interpolate(image.float(), size, mode="bicubic", align_corners=False, antialias=antialias)
    mean, std = (transfers.upload(torch.from_numpy(one), image.device)[:, None, None] for one in (MEAN, STD))
    return (resized - mean) / std


def id_cond(id_embedding: Tensor, pooled: Tensor) -> Tensor:
    """Return [n, 1280] of embeddings [n, 512] as the face pack gives them and EVA's `pooled` [n, 768].

    The embedding goes in raw; the pooled features, and they alone, are brought to length 1.
    """
    return torch.cat([id_embedding, functional.normalize(pooled, dim=-1)], dim=-1)


def encode_v1(
    encoder: IdEncoder, cond: Tensor, hidden_states: Tensor, references: References = "first"
) -> tuple[Tensor, Tensor]:
    """Return conditional and unconditional tokens, each [1, T, D], of one person with r references.

    `cond` is [r, 1280], `hidden_states` [5, r, L, W]; T is 10r, 10 + 5(r-1) or 10, as `references` says. Each
    reference goes alone through the encoder. Nobody is zeros, which do not stay zeros in it.
    """
    each = [encoder(cond[at : at + 1], hidden_states[:, at : at + 1]) for at in range(len(cond))]
    nobody = encoder(torch.zeros_like(cond[:1]), torch.zeros_like(hidden_states[:, :1]))
    if references == "mean":
        return torch.stack(each).mean(dim=0), nobody
    kept = None if references == "all" else ID_TOKENS
    seen = torch.cat([each[0], *(one[:, :kept] for one in each[1:])], dim=1)
    return seen, torch.cat([nobody, *(nobody[:, :kept] for _ in each[1:])], dim=1)


def encode_v1_1(former: IdFormer, cond: Tensor, hidden_states: Tensor) -> tuple[Tensor, Tensor]:
    """Return conditional and unconditional tokens, each [1, 32, D], of one person with r references.

    `cond` is [r, 1280], `hidden_states` [5, r, L, W]. All references go in together; nobody is one reference of zeros.
    """
    seen = former(cond[None], hidden_states.flatten(1, 2)[:, None])
    return seen, former(torch.zeros_like(cond[None, :1]), torch.zeros_like(hidden_states[:, :1]))


def _mlp(seen: int, width: int, out: int) -> nn.Sequential:
    return nn.Sequential(
        StoredLinear(seen, width),
        nn.LayerNorm(width),
        nn.LeakyReLU(),
        StoredLinear(width, width),
        nn.LayerNorm(width),
        nn.LeakyReLU(),
        StoredLinear(width, out),
    )


def _mlp_keys(names: set[str]) -> set[str]:
    return {key for name in names for place in _MLP for key in linear_keys(f"{name}.{place}")}


def _layer_count(weights: Mapping[str, Tensor]) -> int:
    """Return how many layers the keys speak of, rounded up to a whole number per level."""
    return -(-depth_of(weights) // LEVELS) * LEVELS


def _former_keys(count: int) -> set[str]:
    """Return the keys of an IdFormer of `count` layers."""
    layer = {"0.to_q.weight", "0.to_kv.weight", "0.to_out.weight", "1.1.weight", "1.3.weight"}
    layer |= {*linear_keys("0.norm1"), *linear_keys("0.norm2"), *linear_keys("1.0")}
    mappings = _mlp_keys({"id_embedding_mapping", *(f"mapping_{level}" for level in range(LEVELS))})
    return {"latents", "proj_out"} | mappings | {f"layers.{number}.{key}" for number in range(count) for key in layer}
