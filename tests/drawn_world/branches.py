"""Adapters in training: the product's own projections and branches, hung into a UNet, with weights that learn."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from drawn_world.rounding import rounded
from idgen.networks import attention
from idgen.networks.branch import AttnMean, Branch, Combine

LORA_RANK = 4


class Adapter(nn.Module):
    """A projection that makes tokens, and a branch in every cross-attention that reads them."""

    def __init__(
        self, unet: Any, projection: nn.Module, width: int, combine: Combine = "add", attn_mean: AttnMean = "query"
    ) -> None:  # fmt: skip
        """Branches are as wide as the UNet's text, `width`; the mode is networks/branch.py's."""
        super().__init__()
        self.projection = projection
        self.branches = nn.ModuleList()
        processors = attention.install(unet)
        for name, processor in processors.items():
            layer = attention.layer(unet, name)
            branch = Branch(width, layer.inner_dim, layer.heads, combine=combine, attn_mean=attn_mean)
            processor.branches.append(branch)
            self.branches.append(branch)

    def bind(self, tokens: Tensor, scale: Tensor, dtype: torch.dtype) -> None:
        """Give every branch the tokens [B, T, D] and each row's scale [B]."""
        for branch in self.branches:
            assert isinstance(branch, Branch)
            branch.bind(tokens[:, None], scale[:, None, None], dtype)


class LoraLinear(nn.Module):
    """A frozen linear layer and what a LoRA adds to it."""

    def __init__(self, linear: nn.Linear, rank: int) -> None:
        super().__init__()
        self.linear = linear
        self.down = nn.Linear(linear.in_features, rank, bias=False)
        self.up = nn.Linear(rank, linear.out_features, bias=False)
        nn.init.normal_(self.down.weight, std=1 / rank)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return the layer's output with the LoRA's."""
        out: Tensor = self.linear(x) + self.up(self.down(x))
        return out


def hang_lora(unet: Any, rank: int = LORA_RANK) -> nn.ModuleDict:
    """Put a LoRA around to_q, to_k, to_v and to_out of every attention; return them by `{index}_{which}`.

    The index counts in the official order. Base layers keep learning only if they did before.
    """
    found = nn.ModuleDict()
    for index, name in enumerate(unet.attn_processors):
        layer = attention.layer(unet, name)
        for which in ("to_q", "to_k", "to_v"):
            found[f"{index}_{which}"] = LoraLinear(getattr(layer, which), rank)
            setattr(layer, which, found[f"{index}_{which}"])
        found[f"{index}_to_out"] = LoraLinear(layer.to_out[0], rank)
        layer.to_out[0] = found[f"{index}_to_out"]
    return found


def branch_tensors(unet: Any, branches: Sequence[Branch] | nn.ModuleList) -> dict[str, Tensor]:
    """Return official key -> weight of every branch of `unet`, `{index}.to_k_ip.weight`."""
    cross = [index for index, name in enumerate(unet.attn_processors) if attention.is_cross(name)]
    tensors = {}
    for index, branch in zip(cross, branches, strict=True):
        assert isinstance(branch, Branch)
        tensors[f"{index}.to_k_ip.weight"] = rounded(branch.k.weight)
        tensors[f"{index}.to_v_ip.weight"] = rounded(branch.v.weight)
    return tensors


def empty_lora(unet: Any, rank: int = LORA_RANK) -> dict[str, Tensor]:
    """Return a LoRA that changes nothing, for every attention: official files hold one."""
    tensors = {}
    for index, name in enumerate(unet.attn_processors):
        layer = attention.layer(unet, name)
        linears = {"to_q": layer.to_q, "to_k": layer.to_k, "to_v": layer.to_v, "to_out": layer.to_out[0]}
        for which, linear in linears.items():
            tensors[f"{index}.{which}_lora.down.weight"] = torch.zeros(rank, linear.in_features).half()
            tensors[f"{index}.{which}_lora.up.weight"] = torch.zeros(linear.out_features, rank).half()
    return tensors
