"""Tiny ControlNets and LoRAs of the bases, in the official layouts."""

from pathlib import Path
from typing import Any

import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor, nn

from idgen.tiny.random_weights import Gain, draw, fill

CONTROL_WIDTHS = (4, 8, 12, 16)
"""Of the layers that shrink the control image eightfold; the real ones are (16, 32, 96, 256)."""
CONTROL_GAIN = 0.2
"""Of the layers that speak to the UNet."""
HINT_GAIN = 2.2
"""Of the layers that look at the control image, which must not drown in the noise."""
LORA_RANK, LORA_ALPHA = 4, 2.0
LORA_GAIN = 0.7
LORA_ENDS = ("proj_in", "to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "conv1", "time_emb_proj")
"""Modules with a LoRA, among those LCM-LoRA has; of the first block that has attention only."""
_FROM_UNET = (
    "block_out_channels", "norm_num_groups", "cross_attention_dim", "attention_head_dim", "layers_per_block",
    "transformer_layers_per_block", "use_linear_projection", "addition_embed_type", "addition_time_embed_dim",
    "projection_class_embeddings_input_dim", "down_block_types",
)  # fmt: skip


def write_controlnet(folder: Path, unet: dict[str, Any], name: str) -> None:
    """Write a ControlNet for the UNet with the settings `unet`, float16.

    What training starts at zero is drawn like the rest: control has to show.
    """
    controlnet(unet, name).save_pretrained(folder, safe_serialization=True)


def controlnet(unet: dict[str, Any], name: str, gain: Gain | None = None) -> ControlNetModel:
    """Return that ControlNet, its weights rounded to float16; `name` decides them, and `gain` how large they are."""
    settings = {key: value for key, value in unet.items() if key in _FROM_UNET}
    net = ControlNetModel(**settings, conditioning_embedding_out_channels=CONTROL_WIDTHS)
    return fill(net, name, gain or _control_gain).to(torch.float16)


def _control_gain(name: str) -> float:
    if name.startswith("controlnet_cond_embedding"):
        return HINT_GAIN
    return CONTROL_GAIN if name.startswith(("controlnet_down", "controlnet_mid")) else 1.0


def write_lora(path: Path, unet: dict[str, Any], name: str) -> None:
    """Write a LoRA in the layout of LCM-LoRA's file: kohya's names of diffusers' modules, with alphas."""
    model = UNet2DConditionModel(**unet)
    block = next(f"down_blocks.{i}." for i, one in enumerate(model.down_blocks) if hasattr(one, "attentions"))
    tensors: dict[str, Tensor] = {}
    for module_name, module in model.named_modules():
        if module_name.startswith(block) and module_name.endswith(LORA_ENDS):
            kohya = "lora_unet_" + module_name.replace(".", "_")
            for half, shape in _lora_shapes(module).items():
                tensors[f"{kohya}.lora_{half}.weight"] = draw(f"{name}.{module_name}.{half}", shape, LORA_GAIN).half()
            tensors[f"{kohya}.alpha"] = torch.tensor(LORA_ALPHA).half()
    path.parent.mkdir()
    save_file(tensors, path)


def _lora_shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the down and up halves; of filters, down has the filter's size and up looks at one pixel."""
    if isinstance(module, nn.Conv2d):
        return {
            "down": (LORA_RANK, module.in_channels, *module.kernel_size),
            "up": (module.out_channels, LORA_RANK, 1, 1),
        }
    assert isinstance(module, nn.Linear)
    return {"down": (LORA_RANK, module.in_features), "up": (module.out_features, LORA_RANK)}
