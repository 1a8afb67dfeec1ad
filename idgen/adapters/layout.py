"""The layout that all IP-Adapter files share: `image_proj.*`, and `ip_adapter.{i}.*` counted over the UNet's layers.

i is the position in `unet.attn_processors` (down, up, mid last): odd ones are cross-attention and carry
`to_k_ip`/`to_v_ip`; files with a LoRA have `to_{q,k,v,out}_lora` for every i. Kolors' FaceID-Plus calls that table
`adapter_modules`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from idgen.errors import Exit, RunError
from idgen.networks import attention, lora
from idgen.networks.attention import Unet
from idgen.networks.branch import AttnMean, Branch, Combine
from idgen.networks.projections import check_keys
from idgen.weights.recognition import BRANCH_TABLES, FILES, is_a


@dataclass(frozen=True, slots=True)
class Parts:
    """A file's tensors by what they are for."""

    projection: dict[str, Tensor]
    branches: dict[str, Tensor]
    lora: dict[str, Tensor]


def split(weights: Mapping[str, Tensor], source: str) -> Parts:
    """Sort the flat names of a checkpoint into its parts. Raises RunError on names outside the official tables."""
    parts = Parts({}, {}, {})
    if all(any(name.startswith(f"{table}.") for name in weights) for table in BRANCH_TABLES):
        raise RunError(
            Exit.USAGE, f"{source} has both ip_adapter.* and adapter_modules.*, two names for the same weights"
        )
    if is_a("training", weights):
        raise RunError(Exit.USAGE, f"{source} is {FILES['training'].what}")
    for name, tensor in weights.items():
        table, _, rest = name.partition(".")
        if table == "image_proj":
            parts.projection[rest] = tensor
        elif table in BRANCH_TABLES:
            (parts.lora if "_lora." in rest else parts.branches)[rest] = tensor
        else:
            raise RunError(
                Exit.USAGE,
                f"{source}: {name!r} does not belong in an IP-Adapter checkpoint (image_proj.* and ip_adapter.*, or "
                "adapter_modules.* for Kolors); is this the separate LoRA file?",
            )
    return parts


def hang_branches(
    unet: Unet,
    weights: Mapping[str, Tensor],
    source: str,
    *,
    combine: Combine = "add",
    attn_mean: AttnMean = "query",
) -> nn.ModuleList:
    """Make a Branch per attn2 from `{i}.to_k_ip.weight`, hang it into its layer and return all in official order.

    `combine` and `attn_mean` as in networks/branch.py. Raises RunError when keys are missing or unknown, or a width
    does not fit this UNet.
    """
    names = list(unet.attn_processors)
    cross = [(index, name) for index, name in enumerate(names) if attention.is_cross(name)]
    check_keys(weights, {f"{i}.to_{x}_ip.weight" for i, _ in cross for x in "kv"}, source, "ip_adapter")
    processors = attention.install(unet)
    branches = nn.ModuleList()
    for index, name in cross:
        k, v = weights[f"{index}.to_k_ip.weight"], weights[f"{index}.to_v_ip.weight"]
        layer = attention.layer(unet, name)
        if k.shape[0] != layer.inner_dim or v.shape != k.shape:
            raise RunError(
                Exit.USAGE,
                f"{source}: ip_adapter {index} is {tuple(k.shape)}, but {name} of the base is {layer.inner_dim} wide; "
                "is the adapter made for another kind of base?",
            )
        with torch.device("meta"):  # filled by the next line; full-size layouts are checked without their gigabytes
            branch = Branch(k.shape[1], k.shape[0], layer.heads, combine=combine, attn_mean=attn_mean)
        branch.load_state_dict({"k.weight": k, "v.weight": v}, assign=True)
        processors[name].branches.append(branch)
        branches.append(branch)
    return branches.requires_grad_(False).eval()


def check_token_width(branches: nn.ModuleList, made: int, text: nn.Linear | None, source: str) -> None:
    """Raise RunError unless all `branches` read tokens as wide as they get them.

    That is as the file's own projection makes them (`made`), or as the UNet's `text` projection does of them.
    """
    if text is not None and made != text.in_features:
        raise RunError(
            Exit.USAGE,
            f"{source}: image_proj makes {made}-wide tokens, but the base's text is {text.in_features} wide; "
            "is the adapter made for another kind of base?",
        )
    given = made if text is None else text.out_features
    read = {cast(Branch, branch).k.in_features for branch in branches}
    if read != {given}:
        maker = "image_proj makes" if text is None else "the base's text projection makes"
        raise RunError(
            Exit.USAGE, f"{source}: {maker} {given}-wide tokens, but ip_adapter reads {sorted(read)}-wide ones"
        )


def check_no_lora(parts: Parts, source: str) -> None:
    """Raise RunError when a file has a LoRA that its kind has not."""
    check_keys(parts.lora, set(), source, "ip_adapter's LoRA")


def merge_lora(
    unet: Unet, weights: Mapping[str, Tensor], scale: float, source: str, dtype: torch.dtype = torch.float32
) -> None:
    """Check that the LoRA covers every attention of `unet` and merge it. The rest is as in idgen/networks/lora.py."""
    check_keys(weights, lora.expected_keys(list(unet.attn_processors)), source, "ip_adapter's LoRA")
    lora.merge(unet, weights, scale, source, dtype)
