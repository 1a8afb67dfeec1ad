"""Every format of LoRA files × part of the base × alpha: the weight is W + scale * alpha / rank * up @ down."""

from itertools import product

import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from idgen.recipes.recipe import Lora
from idgen.sampling import loras
from idgen.sampling.lora_names import PREFIXES

SCALE = 0.7
RANK = 4
MID = "mid_block.attentions.0.transformer_blocks.0"
DOWN = "down_blocks.1.resnets.0"
TEXT = "text_model.encoder.layers.1"
ATTENTION = [f"{MID}.attn1.to_q", f"{MID}.attn2.to_k", f"{MID}.attn2.to_v", f"{MID}.attn1.to_out.0"]
TEXT_ATTENTION = [f"{TEXT}.self_attn.{name}" for name in ("q_proj", "k_proj", "v_proj", "out_proj")]
LAYERS = {
    "unet": [*ATTENTION, f"{MID}.ff.net.0.proj", f"{MID}.ff.net.2", f"{DOWN}.time_emb_proj"],
    "conv": [f"{DOWN}.conv1", f"{DOWN}.conv_shortcut", "down_blocks.0.downsamplers.0.conv", "conv_in"],
    "text_encoder": [*TEXT_ATTENTION, f"{TEXT}.mlp.fc1", f"{TEXT}.mlp.fc2"],
    "text_encoder_2": [*TEXT_ATTENTION, f"{TEXT}.mlp.fc1", f"{TEXT}.mlp.fc2"],
}
ALPHAS = {
    "absent": lambda number: None,
    "equal": lambda number: RANK,
    "half": lambda number: RANK / 2,
    "of each": lambda number: [None, 1, 16][number % 3],
}


def kohya(part, layer):
    start = {"unet": "lora_unet", "text_encoder": "lora_te1", "text_encoder_2": "lora_te2"}[part]
    stem = f"{start}_{layer.replace('.', '_')}"
    return f"{stem}.lora_down.weight", f"{stem}.lora_up.weight", f"{stem}.alpha"


def peft(part, layer):
    return tuple(f"{part}.{layer}.{end}" for end in ("lora_A.weight", "lora_B.weight", "alpha"))


def peft_named(part, layer):
    return tuple(f"{part}.{layer}.{end}" for end in ("lora_A.default.weight", "lora_B.default.weight", "alpha"))


def diffusers(part, layer):
    """As diffusers wrote them from 0.17 to 0.21."""
    half = "lora" if part == "unet" else "lora_linear_layer"
    return tuple(f"{part}.{layer}.{end}" for end in (f"{half}.down.weight", f"{half}.up.weight", "alpha"))


def diffusers_old(part, layer):
    """As the first of its trainers wrote them: in the names of the processors, of attention alone."""
    block, _, name = layer.removesuffix(".0").rpartition(".")
    own = name if part == "unet" else {"q_proj": "to_q", "k_proj": "to_k", "v_proj": "to_v", "out_proj": "to_out"}[name]
    stem = f"{part}.{block}.{'processor.' if part == 'unet' else ''}{own}_lora"
    return f"{stem}.down.weight", f"{stem}.up.weight", f"{stem}.alpha"


def diffusers_bare(part, layer):
    """As `save_attn_procs` wrote them: the UNet's alone, so its name is in none."""
    return tuple(name.removeprefix("unet.") for name in diffusers_old(part, layer))


FORMATS = [kohya, peft, peft_named, diffusers, diffusers_old, diffusers_bare]
OF_ATTENTION = {diffusers_old: LAYERS, diffusers_bare: ("unet",)}
CASES = [
    (form, part, alpha)
    for form, part, alpha in product(FORMATS, LAYERS, ALPHAS)
    if form not in OF_ATTENTION or (part in OF_ATTENTION[form] and part != "conv")
]


@pytest.fixture(scope="module")
def base():
    """SDXL's parts as small as they can be, in float32, and what their weights are; whoever merges puts them back."""
    torch.manual_seed(1)
    text = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
            "vocab_size": 99, "projection_dim": 32}  # fmt: skip
    unet = UNet2DConditionModel(
        sample_size=8, block_out_channels=(32, 64), layers_per_block=1, cross_attention_dim=64, norm_num_groups=8,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(2, 4),
    )  # fmt: skip
    pipeline = StableDiffusionXLPipeline(
        vae=None, tokenizer=None, tokenizer_2=None, scheduler=DDIMScheduler(), unet=unet,
        text_encoder=CLIPTextModel(CLIPTextConfig(**text)),
        text_encoder_2=CLIPTextModelWithProjection(CLIPTextConfig(**text)),
    )  # fmt: skip
    parts = {name: getattr(pipeline, name).requires_grad_(False) for name in PREFIXES}
    return pipeline, {
        name: {key: one.clone() for key, one in part.state_dict().items()} for name, part in parts.items()
    }


def layers_of(form, part):
    attention = ATTENTION if part == "unet" else TEXT_ATTENTION
    return attention if form in OF_ATTENTION else LAYERS[part]


@pytest.mark.parametrize(
    ("form", "part", "alpha"), CASES, ids=[f"{form.__name__}-{part}-{alpha}" for form, part, alpha in CASES]
)
def test_every_weight_is_what_is_computed_by_hand(form, part, alpha, base, tmp_path):
    pipeline, plain = base
    component = "unet" if part == "conv" else part
    generator = torch.Generator().manual_seed(1)
    tensors, added = {}, {}
    for number, layer in enumerate(layers_of(form, part)):
        key = f"{layer}.weight"
        key = key if key in plain[component] else key.removeprefix("text_model.")  # as transformers has it of late
        out, inner, *window = plain[component][key].shape
        down = torch.randn(RANK, inner, *window, generator=generator) * 0.3
        up = torch.randn(out, RANK, *[1 for _ in window], generator=generator) * 0.3
        names, own = form(component, layer), ALPHAS[alpha](number)
        tensors |= {names[0]: down, names[1]: up} | ({names[2]: torch.tensor(float(own))} if own else {})
        flat = SCALE * (own or RANK) / RANK * (up.double().flatten(1) @ down.double().flatten(1))
        added[key] = flat.unflatten(1, down.shape[1:])
    save_file(tensors, tmp_path / "style.safetensors")
    loras.merge(pipeline, Lora(name="style", weights=str(tmp_path / "style.safetensors"), scale=SCALE))
    try:
        for name, weights in plain.items():
            for key, found in getattr(pipeline, name).state_dict().items():
                extra = added.get(key) if name == component else None
                wanted = weights[key].double() + (0 if extra is None else extra)
                assert (found.double() - wanted).abs().max() <= (0 if extra is None else 2e-6), (name, key)
    finally:
        for name, weights in plain.items():
            getattr(pipeline, name).load_state_dict(weights)
