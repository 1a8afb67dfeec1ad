"""How LoRA files name their tensors, and which files are not plain LoRAs: known without a base.

diffusers knows the layouts; what it would pass over in silence is given the names it reads, or refused by name here.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from idgen.errors import Exit, RunError
from idgen.weights.recognition import INSTEAD
from idgen.weights.single_files import left_over

PREFIXES = {
    "unet": ("unet.", "lora_unet_"),
    "text_encoder": ("text_encoder.", "lora_te_", "lora_te1_"),
    "text_encoder_2": ("text_encoder_2.", "lora_te2_"),
}
"""Part of the pipeline -> how the names of its tensors begin, in diffusers' and kohya's layouts."""
HALVES = (
    (".lora_down.weight", ".lora_up.weight"),
    (".lora_A.weight", ".lora_B.weight"),
    (".lora.down.weight", ".lora.up.weight"),
    (".lora_linear_layer.down.weight", ".lora_linear_layer.up.weight"),
    ("_lora.down.weight", "_lora.up.weight"),
)
"""Endings of the two halves: kohya's, PEFT's, and diffusers' of three times; the last stand behind a processor's q."""
_NAMED_HALF = re.compile(r"\.(lora_[AB])\.[^.]+\.weight$")
"""The end of a name that has peft's own name of the adapter in it, as `lora_A.default.weight` in its state_dict."""
_BARE_UNET = re.compile(r"(down_blocks|mid_block|up_blocks)\.")
"""Beginning of names in diffusers' oldest files, which hold the UNet's LoRA alone."""


def plain(tensors: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Return the halves of the file at `path` by names that diffusers reads, alphas multiplied in.

    Raises RunError(USAGE) that names what no plain LoRA holds, and when a half is missing or the file holds several
    LoRAs at once.
    """
    folded = fold_alphas(unnamed(tensors, path))
    odd = sorted(name for name in folded if _other_half(name) is None)
    for pattern, what in INSTEAD["lora"].items():
        if found := [name for name in odd if re.match(pattern, name)]:
            raise RunError(
                Exit.USAGE,
                f"{path} is {what}, not a plain LoRA: idgen cannot read {len(found)} of its tensors "
                f"({', '.join(found[:3])}); give a LoRA with only lora_down and lora_up, or a UNet with this one "
                "merged into it",
            )
    if lone := sorted(name for name in folded if name not in odd and _other_half(name) not in folded):
        shown = ", ".join(lone[:3])
        raise RunError(Exit.USAGE, f"{path}: {len(lone)} tensors lack their other half ({shown}): give the whole file")
    if odd:
        raise left_over(path, odd, "they are not halves of a LoRA")
    return folded


def _other_half(name: str) -> str | None:
    """Return the name of the half that belongs to a half called `name`, None when it is none."""
    for pair in HALVES:
        for end, other in (pair, pair[::-1]):
            if name.endswith(end):
                return name.removesuffix(end) + other
    return None


def unnamed(tensors: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Return the tensors of `path` with plain names, those that diffusers reads.

    `lora_A.default.weight` would be lost, and so would be names without the part they belong to. Raises RunError(USAGE)
    when the file holds several adapters, whose plain names are the same.
    """
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        short = _NAMED_HALF.sub(r".\1.weight", name)
        found[f"unet.{short}" if _BARE_UNET.match(short) else short] = tensor
    if len(found) != len(tensors):
        raise RunError(Exit.USAGE, f"{path} holds several LoRAs at once; give one file for each")
    return found


def fold_alphas(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a file's tensors with every alpha multiplied into its layer: up * alpha / rank, float32.

    An alpha without a layer stays, and is found to be unused.
    """
    folded = dict(tensors)
    for name, alpha in tensors.items():
        layer = name.removesuffix(".alpha")
        for down, up in HALVES:
            stem = layer.removesuffix("_lora") if down.startswith("_") else layer
            if layer != name and {f"{stem}{down}", f"{stem}{up}"} <= tensors.keys():
                rank = tensors[f"{stem}{down}"].shape[0]
                folded[f"{stem}{up}"] = tensors[f"{stem}{up}"].float() * (alpha.item() / rank)
                folded.pop(name, None)
    return folded
