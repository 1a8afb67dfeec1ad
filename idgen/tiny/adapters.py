"""Tiny weights of every IP-Adapter variant, under the hub's file names and keys (layouts: idgen/recipes/variants.py).

What a variant's file holds follows from its line of VARIANTS and from its family; nothing is written per file.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor

from idgen.recipes.variants import VARIANTS, Variant
from idgen.schemas import EMBEDDING_WIDTH
from idgen.tiny import image_encoders, kolors, sd15, sdxl
from idgen.tiny.files import ADAPTERS, INSTANTID, AdapterFile
from idgen.tiny.random_weights import draw

Shapes = dict[str, tuple[int, ...]]
Layers = list[tuple[str, Any]]
"""Every attention of a UNet in the official order: (name of its processor, the layer)."""

HIDDEN_WIDTH, LORA_RANK = 128, 8
RESAMPLER_DEPTH, RESAMPLER_HEADS, HEAD_WIDTH = 4, 2, 64
VALUE_GAIN = {"mlp": 5.0}
"""Of to_v_ip by projection: 257 tokens in one softmax cancel each other out more than 4 or 16 do."""


@dataclass(frozen=True, slots=True)
class Family:
    """What the files depend on besides the variant."""

    unet: dict[str, Any]
    text_width: int
    """Of the UNet's cross-attention."""
    resampler_width: int
    """Of the plus adapters' Resampler; as in the real files, SDXL's is not its text width."""
    state_width: int = 0
    """Of the text encoder's states, where the UNet projects them to text_width."""


FAMILIES = {
    "sd15": Family(sd15.UNET, sd15.TEXT_WIDTH, 64),
    "sdxl": Family(sdxl.UNET, sdxl.TEXT_WIDTH, 96),
    "kolors": Family(kolors.UNET, kolors.TEXT_WIDTH, kolors.TEXT_WIDTH, kolors.STATE_WIDTH),
}


def write(folder: Path) -> None:
    """Write all adapter files and, as on the hub, each LoRA once more in a file of its own."""
    all_layers = {name: layers(family) for name, family in FAMILIES.items()}
    for adapter in (*ADAPTERS.values(), INSTANTID):
        _write_one(folder, adapter, all_layers[adapter.family])


def projection_shapes(adapter: AdapterFile) -> Shapes:
    """Return key -> shape of the file's `image_proj`."""
    variant, family = VARIANTS[adapter.kind], FAMILIES[adapter.family]
    width, tokens = family.state_width if variant.through_text else family.text_width, variant.tokens or 0
    encoder = image_encoders.ENCODERS.get(adapter.encoder)
    seen = encoder["hidden_size"] if encoder else EMBEDDING_WIDTH
    if variant.projection == "image":
        assert encoder is not None
        return {**_linear("proj", encoder["projection_dim"], tokens * width), **_norm("norm", width)}
    if variant.projection == "resampler":
        latents = {"latents": (1, tokens, family.resampler_width)}
        inner = RESAMPLER_HEADS * HEAD_WIDTH
        return latents | _resampler(seen, family.resampler_width, inner, width)
    if variant.projection == "mlp":
        return {**_linear("proj.0", seen, seen), **_linear("proj.2", seen, width), **_norm("proj.3", width)}
    shapes = _linear("proj.0", EMBEDDING_WIDTH, HIDDEN_WIDTH) | _linear("proj.2", HIDDEN_WIDTH, tokens * width)
    shapes |= _norm("norm", width)
    if variant.projection == "faceid_plus":
        perceiver = _resampler(seen, width, width, width)
        shapes |= {f"perceiver_resampler.{key}": shape for key, shape in perceiver.items()}
    return shapes


def _write_one(folder: Path, adapter: AdapterFile, layers: Layers) -> None:
    variant, path = VARIANTS[adapter.kind], folder / adapter.file
    path.parent.mkdir(exist_ok=True)
    name = "faceid" if adapter.name == "faceid_sd15" else adapter.name  # the first one's draws keep their name
    projection = {
        key: _projection_tensor(name, key, shape, variant) for key, shape in projection_shapes(adapter).items()
    }
    lora, branches = _lora(name, layers) if variant.lora else {}, _branches(name, layers, adapter)
    in_order = sorted({**{key: tensor for key, (_, tensor) in lora.items()}, **branches}.items(), key=_position)
    state = {"image_proj": projection, adapter.table: dict(in_order)}
    if path.suffix == ".safetensors":
        flat = {f"{part}.{key}": tensor for part, tensors in state.items() for key, tensor in tensors.items()}
        save_file(flat, path)
    else:
        torch.save(state, path)
    if lora:
        save_file(dict(lora.values()), path.with_name(f"{path.stem}_lora.safetensors"))


def layers(family: Family) -> Layers:
    """Return every attention of the family's UNet."""
    unet = UNet2DConditionModel(**family.unet)
    return [(name, unet.get_submodule(name.removesuffix(".processor"))) for name in unet.attn_processors]


def _projection_tensor(name: str, key: str, shape: tuple[int, ...], variant: Variant) -> Tensor:
    """Draw one tensor; norms do nothing, what looks at embeddings or picks among pictures' tokens does so firmly."""
    if "norm" in key or key.startswith("proj.3.") or ".1.0." in key:
        return (torch.ones if key.endswith("weight") else torch.zeros)(shape).half()
    gain = 0.1 if key.endswith("bias") else 1.0
    if key == "proj.0.weight" and variant.embedding == "normed":
        gain = 30.0  # of unit-length embeddings
    if key.endswith("to_q.weight"):
        gain = 3.0
    return draw(f"{name}.{key.removesuffix('.weight')}", shape, gain).half()


def _lora(name: str, layers: Layers) -> dict[str, tuple[str, Tensor]]:
    """Return official key -> (key in the separate LoRA file, tensor), over all attentions of the UNet."""
    tensors: dict[str, tuple[str, Tensor]] = {}
    for index, (processor, layer) in enumerate(layers):
        linears = {"to_q": layer.to_q, "to_k": layer.to_k, "to_v": layer.to_v, "to_out": layer.to_out[0]}
        for target, linear in linears.items():
            for half, shape in (("down", (LORA_RANK, linear.in_features)), ("up", (linear.out_features, LORA_RANK))):
                key = f"{target}_lora.{half}.weight"
                tensor = draw(f"{name}.{index}.{key}", shape, 0.3).half()
                tensors[f"{index}.{key}"] = (f"unet.{processor}.{key}", tensor)
    return tensors


def _branches(name: str, layers: Layers, adapter: AdapterFile) -> dict[str, Tensor]:
    value_gain = VALUE_GAIN.get(VARIANTS[adapter.kind].projection, 2.0)
    tensors: dict[str, Tensor] = {}
    for index, (processor, layer) in enumerate(layers):
        if processor.endswith("attn2.processor"):
            for part, gain in (("k", 1.0), ("v", value_gain)):
                key = f"{index}.to_{part}_ip.weight"
                shape = (layer.inner_dim, FAMILIES[adapter.family].text_width)
                tensors[key] = draw(f"{name}.{key}", shape, gain).half()
    return tensors


def _position(item: tuple[str, Tensor]) -> int:
    """A layer's LoRA comes before its branch, and layers in their order, as a UNet's state dict has them."""
    return int(item[0].partition(".")[0])


def _linear(name: str, inputs: int, outputs: int) -> Shapes:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def _norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _resampler(seen: int, width: int, inner: int, out: int) -> Shapes:
    """Keys of a Resampler over `seen`-wide features: `inner` = 64 per head, `out` = width of the tokens."""
    shapes = {**_linear("proj_in", seen, width), **_linear("proj_out", width, out), **_norm("norm_out", out)}
    for number in range(RESAMPLER_DEPTH):
        attention, feed = f"layers.{number}.0", f"layers.{number}.1"
        shapes |= {**_norm(f"{attention}.norm1", width), **_norm(f"{attention}.norm2", width)}
        shapes[f"{attention}.to_q.weight"] = (inner, width)
        shapes[f"{attention}.to_kv.weight"] = (2 * inner, width)
        shapes[f"{attention}.to_out.weight"] = (width, inner)
        shapes |= _norm(f"{feed}.0", width)
        shapes[f"{feed}.1.weight"] = (4 * width, width)
        shapes[f"{feed}.3.weight"] = (width, 4 * width)
    return shapes
