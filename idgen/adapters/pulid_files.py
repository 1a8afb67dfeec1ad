"""PuLID's checkpoints: reads three layouts of the same weights into the parts that layout.py reads.

- `pulid_v1.bin`, `pulid_v1.1.safetensors`: flat, `id_adapter.*` and `id_adapter_attn_layers.{i}.id_to_k.weight`;
- `ip-adapter_pulid_sdxl_fp16.safetensors` and its like: `image_proj.*` and `ip_adapter.{i}.to_k_ip.weight`, which
  EcomID's authors name. Tensors are the same, i counts alike: the position in `unet.attn_processors`.

Which layout a file has is seen from its names; which version it is, its user says, and a file of the other one is
refused. An adapter does `parts = read(...)`, `encoder(parts, ...)`, `layout.hang_branches(unet, parts.branches, ...)`
and `layout.check_token_width(branches, encoder.token_width, None, ...)`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from torch import Tensor

from idgen.adapters.layout import Parts
from idgen.errors import Exit, RunError
from idgen.networks import checkpoints
from idgen.networks.pulid import IdEncoder, IdFormer
from idgen.weights.recognition import PULID_VERSIONS, instead

Version = Literal["v1", "v1.1"]
"""v1 is EcomID's as well."""

_ENCODER_TABLES = {"id_adapter": "flat", "image_proj": "ip_adapter"}
_BRANCH_TABLES = {"id_adapter_attn_layers": "flat", "ip_adapter": "ip_adapter"}
"""Table -> layout that it belongs to."""
_RENAMED = {"id_to_k": "to_k_ip", "id_to_v": "to_v_ip"}
_FILES: dict[Version, str] = {
    "v1": "pulid_v1.bin or ip-adapter_pulid_sdxl_fp16.safetensors",
    "v1.1": "pulid_v1.1.safetensors",
}


def read(path: Path, version: Version, sha256: str | None = None) -> Parts:
    """Return the tensors of the file at `path`. Raises RunError as `split` and idgen/networks/checkpoints.py."""
    return split(checkpoints.read(path, sha256), version, path.name)


def split(weights: Mapping[str, Tensor], version: Version, source: str) -> Parts:
    """Sort a checkpoint's flat names into an encoder's and the branches', both by the names that idgen's modules have.

    Raises RunError(USAGE) when the file is something else, mixes layouts, or is of the other version; `source` names
    it. Whether it is whole, `encoder` and `layout.hang_branches` find out.
    """
    parts = Parts({}, {}, {})
    layouts = set()
    for name, tensor in weights.items():
        table, _, rest = name.partition(".")
        if table in _ENCODER_TABLES:
            layouts.add(_ENCODER_TABLES[table])
            parts.projection[rest] = tensor
        elif table in _BRANCH_TABLES:
            layouts.add(_BRANCH_TABLES[table])
            parts.branches[_renamed(rest) if _BRANCH_TABLES[table] == "flat" else rest] = tensor
        else:
            raise _wrong(weights, version, source, f"{name!r} does not belong in such a file")
    if len(layouts) > 1:
        raise _wrong(
            weights, version, source, "it has id_adapter* and image_proj or ip_adapter, two names for the same weights"
        )
    _check_version(parts, weights, version, source)
    return parts


def encoder(parts: Parts, version: Version, source: str) -> IdEncoder | IdFormer:
    """Return the network that makes ID tokens of a file's `parts`: IdEncoder for v1, IdFormer for v1.1.

    Raises RunError(USAGE) when tensors are missing, unknown, or do not fit each other.
    """
    return (IdEncoder if version == "v1" else IdFormer).from_weights(parts.projection, source)


def _renamed(name: str) -> str:
    """`1.id_to_k.weight` -> `1.to_k_ip.weight`; other names pass, and are refused when branches are hung."""
    number, _, rest = name.partition(".")
    layer, _, kind = rest.partition(".")
    return f"{number}.{_RENAMED[layer]}.{kind}" if layer in _RENAMED else f"flat {name}"


def _check_version(parts: Parts, weights: Mapping[str, Tensor], version: Version, source: str) -> None:
    """Raise RunError when the encoder is not of the version asked for."""
    found = [one for one, mark in PULID_VERSIONS.items() if mark in parts.projection]
    if found == [version]:
        return
    if len(found) == 1:
        raise RunError(
            Exit.USAGE,
            f"{source} is PuLID {found[0]}, but the recipe asks for {version}: take {_FILES[version]}, or a recipe "
            f"for {found[0]}",
        )
    raise _wrong(
        weights, version, source, f"its encoder has {'both' if found else 'neither'} of {[*PULID_VERSIONS.values()]}"
    )


def _wrong(weights: Mapping[str, Tensor], version: Version, source: str, trouble: str) -> RunError:
    """Return the error of a file that is something else, with what it looks like."""
    looks = instead("pulid", weights)
    hint = f"; it looks like {looks}" if looks else ""
    return RunError(Exit.USAGE, f"{source} is not a PuLID {version} checkpoint ({_FILES[version]}): {trouble}{hint}")
