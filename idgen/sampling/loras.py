"""LoRAs of a base (LCM's, Lightning's, styles): merged into UNet and text encoders once, in float32, for good.

diffusers' loader knows the many layouts of such files (its own, PEFT's, kohya's). Two things it does are mended here:
it passes over what it cannot place, with a warning or without; and alphas that differ between layers reach only some of
them. So what hangs in the layers is compared with the file, number by number.
"""

import hashlib
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from diffusers.loaders.lora_base import LORA_ADAPTER_METADATA_KEY
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from idgen import weights
from idgen.errors import Exit, RunError
from idgen.networks import checkpoints
from idgen.recipes.recipe import Lora
from idgen.sampling import lora_names
from idgen.sampling.library_messages import quiet
from idgen.sampling.lora_names import PREFIXES
from idgen.sampling.reading import Pipeline

NAME = "lora"
"""Of the adapter while it is merged, one after the other."""


def merge(pipeline: Pipeline, lora: Lora) -> None:
    """Add `scale * alpha / rank * up @ down` to the weights that the file names; its parts are float32 afterwards.

    No alpha = the rank. Raises RunError when the file is no .safetensors, is not the pinned one, was made for another
    family, or holds anything that is not used.
    """
    path = weights.locate(lora.weights, lora.revision)
    if path.suffix != ".safetensors":
        raise RunError(
            Exit.USAGE,
            f"LoRA {lora.name}: {path} is not a .safetensors file; give the .safetensors file of these weights",
        )
    stored = checkpoints.read(path, lora.sha256)
    try:
        tensors = lora_names.plain(stored, path)
    except RunError as error:
        raise RunError(error.exit_code, f"LoRA {lora.name}: {error.message}") from error
    try:
        with quiet():  # it warns of LoRAs that are for the UNet alone
            _merge(pipeline, path, tensors, lora.scale)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "size mismatch" not in str(error):
            raise
        raise RunError(
            Exit.USAGE,
            f"LoRA {lora.name}: {path} does not fit {type(pipeline).__name__}: {' '.join(str(error).split())[:200]}; "
            "a LoRA works only on the family of bases it was trained for, and must be plain (not a DoRA, LoHa or LoKr)",
        ) from error


def _merge(pipeline: Pipeline, path: Path, tensors: dict[str, Tensor], scale: float) -> None:
    parts = [
        part
        for part, prefixes in PREFIXES.items()
        if getattr(pipeline, part, None) is not None and any(name.startswith(prefixes) for name in tensors)
    ]
    for part in parts:  # ahead, as the halves take the dtype of the layers they hang in
        nn.Module.float(getattr(pipeline, part))
    has_config = _load(pipeline, path, tensors)
    layers = list(_layers(pipeline))
    _check_all_placed(layers, tensors)
    if not has_config:
        for layer in layers:
            layer.scaling[NAME] = 1.0
    pipeline.fuse_lora(components=parts, lora_scale=scale, safe_fusing=True)
    pipeline.unload_lora_weights()


def _load(pipeline: Pipeline, path: Path, tensors: Mapping[str, Tensor]) -> bool:
    """Hang the LoRA into its layers; return whether the file's header says what their scales are, as diffusers does."""
    with safe_open(path, "pt") as file:
        header, names = file.metadata() or {}, set(file.keys())
    if LORA_ADAPTER_METADATA_KEY not in header:
        pipeline.load_lora_weights(dict(tensors), adapter_name=NAME)
        return False
    with tempfile.TemporaryDirectory() as folder:  # diffusers reads the header of a file only
        if not names <= tensors.keys():
            path = Path(folder) / path.name
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, header)
        pipeline.load_lora_weights(path, adapter_name=NAME, use_safetensors=True, local_files_only=True)
    return True


def _check_all_placed(layers: list[BaseTunerLayer], tensors: Mapping[str, Tensor]) -> None:
    """Raise ValueError unless the halves in the `layers` are the file's `tensors`, all of them and nothing else.

    Where names match nothing, layers get halves without numbers, as many as there are tensors.
    """
    halves = [half for layer in layers for name, half in layer.named_parameters() if ".lora_" in f".{name}"]
    placed = Counter(map(_fingerprint, halves))
    lost = []
    for name, tensor in tensors.items():
        key = _fingerprint(tensor)
        placed[key] -= 1
        if placed[key] < 0:
            lost.append(name)
    if not tensors or lost or len(halves) != len(tensors):
        raise ValueError(
            f"{len(tensors) - len(lost)} of its {len(tensors)} tensors have a place in this base"
            + (f", {', '.join(lost[:3])} {'has' if len(lost) == 1 else 'have'} none" if lost else "")
        )


def _fingerprint(tensor: Tensor) -> bytes:
    """Return a hash of a tensor's shape and numbers, in float32; nothing for one that nothing was read into."""
    if tensor.is_meta:
        return b""
    numbers = tensor.detach().float().contiguous()
    return hashlib.blake2b(numbers.numpy().tobytes() + str(tuple(numbers.shape)).encode(), digest_size=16).digest()


def _layers(pipeline: Pipeline) -> Iterator[BaseTunerLayer]:
    """Yield the layers that the LoRA hangs in."""
    for part in PREFIXES:
        module = getattr(pipeline, part, None)
        if module is not None:
            yield from (layer for layer in module.modules() if isinstance(layer, BaseTunerLayer))
