"""Which file names are loaded: the same rules for a folder on disk and for a hub's listing."""

import re
from collections.abc import Iterable, Sequence

from idgen.weights.unused import UNUSED_IN_FACE_PACKS

TEXT_COMPONENTS = ("text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2")
"""Those that turn a prompt into numbers."""
_BESIDE_THE_DENOISER = ("vae", *TEXT_COMPONENTS, "scheduler")
_SHARD = r"(?:-\d{5}-of-\d{5})?"


def components(denoiser: str) -> tuple[str, ...]:
    """Return a base's folders that are read, with its family's `denoiser`.

    What else a base holds (safety checker, single-file copies) is never loaded.
    """
    return (denoiser, *_BESIDE_THE_DENOISER)


def components_with_weights(denoiser: str) -> tuple[str, ...]:
    """Return those of them that hold more than settings; the first decides the variant of all."""
    return (denoiser, "text_encoder", "text_encoder_2", "vae")


def weight_names(names: Iterable[str], variant: str | None) -> list[str]:
    """Return the names that diffusers and transformers read a component's weights from, shards in order.

    Those of `variant` where there are any, safetensors before pickles; copies of other names (non_ema, openvino) never.
    """
    there = sorted(names)
    for tag in dict.fromkeys((variant, None)):
        dot = rf"\.{re.escape(tag)}" if tag else ""
        for ending in ("safetensors", "bin"):
            pattern = re.compile(
                rf"(?:diffusion_pytorch_model|pytorch_model|model)(?:{dot}{_SHARD}|{_SHARD}{dot})\.{ending}"
            )
            if found := [name for name in there if pattern.fullmatch(name)]:
                return found
    return []


def index_of(weights: Sequence[str]) -> str | None:
    """Return the name of the file that libraries find shards by, None for weights in one file.

    It is loaded but no part of what weights are known by: the shards themselves are.
    """
    match = re.fullmatch(r"(\w+)(?:\.(\w+))?-\d{5}-of-\d{5}(?:\.(\w+))?\.(\w+)", weights[0]) if weights else None
    if match is None:
        return None
    stem, before, after, ending = match.groups()
    return ".".join(filter(None, (stem, ending, "index", before or after, "json")))


def variant_of(names: Sequence[str]) -> str | None:
    """Return "fp16" when weights are there in that variant only, else None."""
    return "fp16" if not weight_names(names, None) and weight_names(names, "fp16") else None


def is_setting(name: str) -> bool:
    """Tell whether a component's file is settings or vocabulary, not weights."""
    return name.endswith((".json", ".txt", ".model")) and ".index." not in name


def is_config(name: str) -> bool:
    """Tell whether a file is all the settings that a model which stands alone is loaded with."""
    return name == "config.json"


def is_face_network(name: str) -> bool:
    """Tell whether a face pack's file is loaded."""
    return name.endswith(".onnx") and not name.startswith(".") and name not in UNUSED_IN_FACE_PACKS
