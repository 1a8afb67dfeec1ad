"""LoRAs of a base (LCM's, Lightning's, styles): merged into UNet and text encoders once, in float32, for good.

diffusers reads the many layouts of such files (its own, PEFT's, kohya's with alphas). What it would pass over with a
warning is an error here.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from idgen import weights
from idgen.errors import Exit, RunError
from idgen.networks import checkpoints
from idgen.recipes import Lora
from idgen.sampling.reading import Pipeline, quiet

NAME = "lora"
"""Of the adapter while it is merged, one after the other."""
PARTS = ("unet", "text_encoder", "text_encoder_2")


def merge(pipeline: Pipeline, loras: Sequence[Lora]) -> None:
    """Add `scale * alpha / rank * up @ down` of every LoRA to the weights it names, which are float32 afterwards.

    Raises RunError when a file is no .safetensors, is not the pinned one, was made for another family, or holds
    anything that is not used.
    """
    for lora in loras:
        path = weights.locate(lora.weights, lora.revision)
        if path.suffix != ".safetensors":
            raise RunError(
                Exit.USAGE, f"LoRA {lora.name}: {path} is no .safetensors file; give that file of these weights"
            )
        names = set(checkpoints.read(path, lora.sha256))
        with quiet():  # it warns of LoRAs for the UNet alone
            _merge_file(pipeline, path, names, lora)


def _merge_file(pipeline: Pipeline, path: Path, names: set[str], lora: Lora) -> None:
    try:
        pipeline.load_lora_weights(path, adapter_name=NAME, use_safetensors=True, local_files_only=True)
        layers = list(_layers(pipeline))
        _check_all_used(layers, names)
        for layer in layers:
            layer.float()
        parts = [part for part in PARTS if getattr(pipeline, part, None) is not None]
        pipeline.fuse_lora(components=parts, lora_scale=lora.scale, safe_fusing=True)
        pipeline.unload_lora_weights()
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "size mismatch" not in str(error):
            raise
        reason = " ".join(str(error).split())[:200]
        raise RunError(
            Exit.USAGE,
            f"LoRA {lora.name}: {path} does not fit {type(pipeline).__name__}: {reason}; a LoRA works only on the "
            "family of bases it was trained for, and must be a plain LoRA (no DoRA, LoHa, LoKr)",
        ) from error


def _layers(pipeline: Pipeline) -> Iterator[nn.Module]:
    """Yield the layers that the LoRA hangs in."""
    for part in PARTS:
        module = getattr(pipeline, part, None)
        if module is not None:
            yield from (layer for layer in module.modules() if isinstance(layer, BaseTunerLayer))


def _check_all_used(layers: Sequence[nn.Module], names: set[str]) -> None:
    """Raise ValueError when tensors of the file (alphas aside, which diffusers checks) are in no layer."""
    wanted = sum(not name.endswith(".alpha") for name in names)
    used = sum(".lora_" in f".{name}" for layer in layers for name, _ in layer.named_parameters())
    if not wanted or used != wanted:
        raise ValueError(f"{used} of its {wanted} tensors have a place in this base")
