"""Tiny weights of PuLID and of what it looks through: the EVA02-CLIP tower and the face parser.

Shapes are those of idgen's own modules, whose names are the official keys; only widths are small. Two of the files hold
the same weights, as on the hub: EcomID's is PuLID v1 under IP-Adapter's names.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from idgen.networks.eva_clip import EvaConfig, EvaTower, rotations
from idgen.networks.face_parser import FaceParser
from idgen.networks.pulid import IdEncoder, IdFormer
from idgen.schemas import EMBEDDING_WIDTH
from idgen.tiny import adapters, sdxl
from idgen.tiny.files import PATHS
from idgen.tiny.random_weights import Module, draw, fill

EVA = EvaConfig(width=32, head_width=16, mlp_width=85)
"""As deep and with as many positions as the real one, which is 1024 wide."""
WIDTH = 64
"""Inside both encoders; the real ones have 1024."""
LAYERS_PER_LEVEL = 2
"""Of the tower's five: 10, as IDFormer's."""
QUERIES = 32
VALUE_GAIN = 3.0
"""Of id_to_v: the face's tokens stand beside zero tokens, which take most of the attention."""
PARSER_SHARE = 8
"""The parser's convolutions have so many times fewer channels than the real one's."""

Tensors = dict[str, Tensor]


def write(folder: Path) -> None:
    """Write PuLID v1 (flat, and under IP-Adapter's names), v1.1, the tower and the parser."""
    cond = EMBEDDING_WIDTH + EVA.pooled_width
    first = _half(fill(IdEncoder(cond, WIDTH, EVA.width, WIDTH, sdxl.TEXT_WIDTH), "pulid_v1"))
    former = IdFormer(cond, EVA.width, WIDTH, WIDTH, sdxl.TEXT_WIDTH, QUERIES, LAYERS_PER_LEVEL, (WIDTH, WIDTH))
    second = _half(fill(former, "pulid_v1_1"))
    branches = {name: _branches(name) for name in ("pulid_v1", "pulid_v1_1")}
    flat = {name: tensor.float() for name, tensor in _flat(first, branches["pulid_v1"]).items()}
    torch.save(flat, folder / PATHS["pulid_v1"])
    save_file(_flat(second, branches["pulid_v1_1"]), folder / PATHS["pulid_v1_1"])
    save_file(_renamed(first, branches["pulid_v1"]), folder / PATHS["pulid_v1_sdxl"])
    write_tower(folder / PATHS["eva_clip"])
    torch.save(parser(), folder / PATHS["face_parser"])


def write_tower(path: Path, config: EvaConfig = EVA) -> None:
    """Write the tower float16 under `visual.*`, with the buffers that the official file has, and its settings."""
    path.parent.mkdir(parents=True)
    filled = fill(EvaTower(config), "eva_clip", _tower_gain)
    tower = {f"visual.{name}": tensor for name, tensor in _half(filled).items()}
    for name, table in zip(("cos", "sin"), rotations(config), strict=True):
        shared = table.half()  # stored once: blocks share one buffer
        places = ["", *(f"blocks.{number}.attn." for number in range(config.layers))]
        tower |= {f"visual.{place}rope.freqs_{name}": shared for place in places}
    torch.save(tower, path)
    vision = {
        "image_size": config.side_px, "layers": config.layers, "width": config.width, "drop_path_rate": 0,
        "head_width": config.head_width, "mlp_ratio": 2.6667, "patch_size": config.patch_px,
        "eva_model_name": "eva-clip-l-14-336", "xattn": True, "fusedLN": True, "rope": True,
        "pt_hw_seq_len": config.trained_grid, "intp_freq": True, "naiveswiglu": True, "subln": True,
    }  # fmt: skip
    settings = {"embed_dim": config.pooled_width, "vision_cfg": vision}
    path.with_name("config.json").write_text(json.dumps(settings, indent=1))


def parser() -> Tensors:
    """Return a face parser's weights, float32, whose labels change with what a face shows."""
    with torch.device("meta"):
        places = FaceParser().state_dict()
    return {name: _parser_tensor(name, place) for name, place in places.items()}


def _parser_tensor(name: str, place: Tensor) -> Tensor:
    if name.endswith("num_batches_tracked"):
        return torch.zeros((), dtype=torch.int64)
    shape = tuple(side // PARSER_SHARE if side >= 64 else side for side in place.shape)
    if len(shape) == 1:
        return (torch.ones if name.endswith(("weight", "running_var")) else torch.zeros)(shape)
    weight = draw(f"face_parser.{name}", shape, 1.4)
    # filters without a sum answer to differences; else what is the same everywhere decides, for one class everywhere
    return weight if name == "cp.resnet.conv1.weight" else weight - weight.mean(dim=(1, 2, 3), keepdim=True)


def _branches(name: str) -> dict[str, dict[str, Tensor]]:
    """Return the layer's place in the official order -> what makes its keys and values."""
    layers = adapters.layers(adapters.FAMILIES["sdxl"])
    gains = {"k": 1.0, "v": VALUE_GAIN}
    return {
        str(index): {
            part: draw(f"{name}.{index}.{part}", (layer.inner_dim, sdxl.TEXT_WIDTH), gain).half()
            for part, gain in gains.items()
        }
        for index, (processor, layer) in enumerate(layers)
        if processor.endswith("attn2.processor")
    }


def _flat(encoder: Tensors, branches: dict[str, Tensors]) -> Tensors:
    """PuLID's own names."""
    named = {f"id_adapter.{name}": tensor for name, tensor in encoder.items()}
    for index, parts in branches.items():
        named |= {f"id_adapter_attn_layers.{index}.id_to_{part}.weight": tensor for part, tensor in parts.items()}
    return named


def _renamed(encoder: Tensors, branches: dict[str, Tensors]) -> Tensors:
    """IP-Adapter's names."""
    named = {f"image_proj.{name}": tensor for name, tensor in encoder.items()}
    for index, parts in branches.items():
        named |= {f"ip_adapter.{index}.to_{part}_ip.weight": tensor for part, tensor in parts.items()}
    return named


def _half(module: Module) -> Tensors:
    return {name: tensor.half().contiguous() for name, tensor in module.state_dict().items()}


def _tower_gain(name: str) -> float:
    """As image_encoders': look closely, at patches and at what is in them."""
    if name.endswith(("q_proj.weight", "k_proj.weight")):
        return 2.0
    return 4.0 if name.endswith("patch_embed.proj.weight") else 1.0
