"""LoRAs of a base (LCM's, Lightning's, styles): merged into UNet and text encoders once, in float32, for good.

diffusers' loader knows the many layouts of such files (its own, PEFT's, kohya's). Two things it does are mended here:
it passes over what it cannot place, with a warning; and alphas that differ between layers reach only some of them.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from diffusers.loaders.lora_base import LORA_ADAPTER_METADATA_KEY
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors import safe_open
from torch import Tensor, nn

from idgen import weights
from idgen.errors import Exit, RunError
from idgen.networks import checkpoints
from idgen.recipes import Lora
from idgen.sampling.reading import Pipeline, quiet

NAME = "lora"
"""Of the adapter while it is merged, one after the other."""
PREFIXES = {
    "unet": ("unet.", "lora_unet_"),
    "text_encoder": ("text_encoder.", "lora_te_", "lora_te1_"),
    "text_encoder_2": ("text_encoder_2.", "lora_te2_"),
}
"""Part of the pipeline -> how the names of its tensors begin, in diffusers' and kohya's layouts."""
HALVES = (("lora_down.weight", "lora_up.weight"), ("lora_A.weight", "lora_B.weight"))


def merge(pipeline: Pipeline, lora: Lora) -> None:
    """Add `scale * alpha / rank * up @ down` to the weights that the file names; its parts are float32 afterwards.

    No alpha = the rank. Raises RunError when the file is no .safetensors, is not the pinned one, was made for another
    family, or holds anything that is not used.
    """
    path = weights.locate(lora.weights, lora.revision)
    if path.suffix != ".safetensors":
        raise RunError(Exit.USAGE, f"LoRA {lora.name}: {path} is no .safetensors file; give that file of these weights")
    tensors = fold_alphas(checkpoints.read(path, lora.sha256))
    try:
        with quiet():  # it warns of LoRAs that are for the UNet alone
            _merge(pipeline, path, tensors, lora.scale)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "size mismatch" not in str(error):
            raise
        raise RunError(
            Exit.USAGE,
            f"LoRA {lora.name}: {path} does not fit {type(pipeline).__name__}: {' '.join(str(error).split())[:200]}; a "
            "LoRA works only on the family of bases it was trained for, and must be a plain one (no DoRA, LoHa, LoKr)",
        ) from error


def fold_alphas(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a file's tensors with every `<layer>.alpha` multiplied into its layer: up * alpha / rank, float32.

    An alpha without a layer stays, and is found to be unused.
    """
    folded = dict(tensors)
    for name, alpha in tensors.items():
        layer = name.removesuffix(".alpha")
        for down, up in HALVES:
            if layer != name and {f"{layer}.{down}", f"{layer}.{up}"} <= tensors.keys():
                rank = tensors[f"{layer}.{down}"].shape[0]
                folded[f"{layer}.{up}"] = tensors[f"{layer}.{up}"].float() * (alpha.item() / rank)
                del folded[name]
    return folded


def _merge(pipeline: Pipeline, path: Path, tensors: dict[str, Tensor], scale: float) -> None:
    parts = [
        part
        for part, prefixes in PREFIXES.items()
        if getattr(pipeline, part, None) is not None and any(name.startswith(prefixes) for name in tensors)
    ]
    for part in parts:  # ahead, as the halves take the dtype of the layers they hang in
        nn.Module.float(getattr(pipeline, part))
    with safe_open(path, "pt") as file:
        has_config = LORA_ADAPTER_METADATA_KEY in (file.metadata() or {})
    if has_config:  # diffusers' own, which says what the scale is; read with the file only
        pipeline.load_lora_weights(path, adapter_name=NAME, use_safetensors=True, local_files_only=True)
    else:
        pipeline.load_lora_weights(tensors, adapter_name=NAME)
    layers = list(_layers(pipeline))
    used = sum(".lora_" in f".{name}" for layer in layers for name, _ in layer.named_parameters())
    if not tensors or used != len(tensors):
        raise ValueError(f"{used} of its {len(tensors)} tensors have a place in this base")
    if not has_config:
        for layer in layers:
            layer.scaling[NAME] = 1.0
    pipeline.fuse_lora(components=parts, lora_scale=scale, safe_fusing=True)
    pipeline.unload_lora_weights()


def _layers(pipeline: Pipeline) -> Iterator[BaseTunerLayer]:
    """Yield the layers that the LoRA hangs in."""
    for part in PREFIXES:
        module = getattr(pipeline, part, None)
        if module is not None:
            yield from (layer for layer in module.modules() if isinstance(layer, BaseTunerLayer))
