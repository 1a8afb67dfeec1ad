"""The tiny files hold exactly the official keys in the official shapes, scaled down.

The keys are spelt out here once more, from the layouts of the authors' classes, so that a slip in the maker shows.
"""

import json

import pytest
import torch
from diffusers import ControlNetModel, StableDiffusionXLPipeline, UNet2DConditionModel
from doubles.tiny_recipe import adapter
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import CLIPVisionModelWithProjection

from idgen.recipes.variants import VARIANTS
from idgen.tiny import world
from idgen.tiny.files import ADAPTERS, PATHS

CROSS = {"sd15": 16, "sdxl": 70, "kolors": 70}
TEXT = {"sd15": 64, "sdxl": 128, "kolors": 96}
STATES = 128
"""Of Kolors' text encoder, which FaceID-Plus makes its tokens as wide as."""
RESAMPLED = {"sd15": 64, "sdxl": 96, "kolors": 96}
SEEN = {"clip_vit_h": 48, "clip_vit_bigg": 80, "clip_vit_l_336": 64}
PROJECTED = {"clip_vit_h": 32, "clip_vit_bigg": 40}
HIDDEN, RANK = 128, 8


def tensors(name: str) -> dict[str, torch.Tensor]:
    """Of an adapter file, by flat name."""
    path = world.locate(name)
    if path.suffix == ".safetensors":
        return load_file(path)
    state = torch.load(path, weights_only=True)
    assert list(state) == ["image_proj", table_of(name)]
    return {f"{part}.{key}": tensor for part, table in state.items() for key, tensor in table.items()}


def table_of(name: str) -> str:
    return "adapter_modules" if name == "kolors_faceid_plus" else "ip_adapter"


def linear(name: str, outputs: int, inputs: int) -> dict[str, list[int]]:
    return {f"{name}.weight": [outputs, inputs], f"{name}.bias": [outputs]}


def norm(name: str, width: int) -> dict[str, list[int]]:
    return {f"{name}.weight": [width], f"{name}.bias": [width]}


def resampler(seen: int, width: int, inner: int, out: int) -> dict[str, list[int]]:
    """Depth 4; 50 tensors without the latents."""
    shapes = linear("proj_in", width, seen) | linear("proj_out", out, width) | norm("norm_out", out)
    for number in range(4):
        shapes |= norm(f"layers.{number}.0.norm1", width) | norm(f"layers.{number}.0.norm2", width)
        shapes |= {f"layers.{number}.0.to_q.weight": [inner, width], f"layers.{number}.0.to_out.weight": [width, inner]}
        shapes |= {f"layers.{number}.0.to_kv.weight": [2 * inner, width]} | norm(f"layers.{number}.1.0", width)
        shapes |= {f"layers.{number}.1.1.weight": [4 * width, width], f"layers.{number}.1.3.weight": [width, 4 * width]}
    return shapes


def expected_projection(kind: str, family: str, encoder: str) -> dict[str, list[int]]:
    text = STATES if kind == "kolors_faceid_plus" else TEXT[family]
    tokens = {"faceid_portrait": 16, "kolors_faceid_plus": 6}.get(kind, 4)
    latents = {"latents": [1, 16, RESAMPLED[family]]}
    face = linear("proj.0", HIDDEN, 512) | linear("proj.2", tokens * text, HIDDEN) | norm("norm", text)
    match kind:
        case "ip_adapter":
            return linear("proj", 4 * text, PROJECTED[encoder]) | norm("norm", text)
        case "ip_adapter_plus" | "ip_adapter_plus_face" | "kolors_ip_adapter_plus":
            return latents | resampler(SEEN[encoder], RESAMPLED[family], 128, text)
        case "faceid_portrait_unnorm":
            return latents | resampler(512, RESAMPLED[family], 128, text)
        case "ip_adapter_full_face":
            return linear("proj.0", 48, 48) | linear("proj.2", text, 48) | norm("proj.3", text)
        case "faceid_plus" | "faceid_plusv2" | "kolors_faceid_plus":
            inner = resampler(SEEN[encoder], text, text, text)
            return face | {f"perceiver_resampler.{key}": shape for key, shape in inner.items()}
    return face


def expected_layers(family: str, lora: bool) -> dict[str, list[int]]:
    """Keys by the position in attn_processors; odd positions are cross-attentions."""
    unet = UNet2DConditionModel.from_config(json.loads((world.locate(family) / "unet/config.json").read_text()))
    shapes: dict[str, list[int]] = {}
    assert len(unet.attn_processors) == 2 * CROSS[family]
    for index, name in enumerate(unet.attn_processors):
        width = unet.get_submodule(name.removesuffix(".processor")).to_q.out_features
        source = TEXT[family] if index % 2 else width
        if index % 2:
            shapes |= {f"{index}.to_k_ip.weight": [width, source], f"{index}.to_v_ip.weight": [width, source]}
        for target, inputs in (("q", width), ("k", source), ("v", source), ("out", width)) if lora else ():
            shapes[f"{index}.to_{target}_lora.down.weight"] = [RANK, inputs]
            shapes[f"{index}.to_{target}_lora.up.weight"] = [width, RANK]
    return shapes


@pytest.mark.parametrize("name", list(ADAPTERS))
def test_an_adapter_file_has_exactly_the_official_keys_and_shapes_in_float16(name):
    file = ADAPTERS[name]
    found = tensors(name)
    lora = file.kind in ("faceid", "faceid_plus", "faceid_plusv2")
    parts = {
        "image_proj": expected_projection(file.kind, file.family, file.encoder),
        table_of(name): expected_layers(file.family, lora),
    }
    expected = {f"{part}.{key}": shape for part, shapes in parts.items() for key, shape in shapes.items()}
    assert {key: list(tensor.shape) for key, tensor in found.items()} == expected
    assert {tensor.dtype for tensor in found.values()} == {torch.float16}
    assert all(tensor.isfinite().all() for tensor in found.values())


def test_numbers_of_tensors_are_those_of_the_real_files():
    counts = {name: len(tensors(name)) for name in ADAPTERS}
    assert counts["ip_adapter_sd15"] == 4 + 32
    assert counts["ip_adapter_plus_sdxl_vit_h"] == 51 + 140
    assert counts["ip_adapter_full_face_sd15"] == 6 + 32
    assert counts["faceid_plusv2_sd15"] == 56 + 288
    assert counts["faceid_sdxl"] == 6 + 1260
    assert counts["faceid_portrait_sdxl"] == 6 + 140
    assert counts["kolors_faceid_plus"] == 56 + 140
    assert counts["kolors_ip_adapter_plus"] == 51 + 140


def test_every_file_has_an_official_name_and_an_encoder_where_it_looks_at_pixels():
    for name, file in ADAPTERS.items():
        assert world.locate(name).name == file.file
        assert file.file.startswith("ip-adapter") or file.file in ("ipa-faceid-plus.bin", "ip_adapter_plus_general.bin")
        assert file.file.endswith((".bin", ".safetensors"))
        encoder = adapter(name).image_encoder
        assert bool(encoder) == (VARIANTS[file.kind].picture is not None)


def test_no_two_files_hold_the_same_weights():
    sums = {name: sum(tensor.double().sum().item() for tensor in tensors(name).values()) for name in ADAPTERS}
    assert len(set(sums.values())) == len(ADAPTERS)


@pytest.mark.parametrize("name", [name for name, file in ADAPTERS.items() if VARIANTS[file.kind].lora])
def test_the_separate_lora_file_holds_the_same_lora_under_the_layers_names(name):
    inside = {key: tensor for key, tensor in tensors(name).items() if "_lora." in key}
    path = world.locate(name)
    separate = load_file(path.with_name(f"{path.stem}_lora.safetensors"))
    assert len(separate) == len(inside)
    assert all(key.startswith("unet.") and ".processor.to_" in key for key in separate)
    assert sorted(t.double().sum().item() for t in separate.values()) == sorted(
        t.double().sum().item() for t in inside.values()
    )


def test_sdxl_loads_as_a_stock_pipeline_with_the_real_layers():
    pipeline = StableDiffusionXLPipeline.from_pretrained(world.locate("sdxl"))
    names = list(pipeline.unet.attn_processors)
    assert (len(names), sum("attn2" in name for name in names)) == (140, 70)
    # down.1 2x2, down.2 2x10, up.0 3x10, up.1 3x2, mid last 10
    blocks = [next(iter(names[index].split(".attentions"))) for index in (0, 8, 48, 108, 120)]
    assert blocks == ["down_blocks.1", "down_blocks.2", "up_blocks.0", "up_blocks.1", "mid_block"]
    assert (pipeline.tokenizer.pad_token, pipeline.tokenizer_2.pad_token) == ("<|endoftext|>", "!")
    assert type(pipeline.text_encoder_2).__name__ == "CLIPTextModelWithProjection"
    assert type(pipeline.scheduler).__name__ == "EulerDiscreteScheduler"
    assert pipeline.scheduler.config.timestep_spacing == "leading"
    assert pipeline.config.force_zeros_for_empty_prompt
    assert pipeline.vae.config.scaling_factor == 0.13025


def test_the_lightning_file_is_another_whole_unet_of_the_base():
    own = load_file(world.locate("sdxl") / "unet/diffusion_pytorch_model.safetensors")
    other = load_file(world.locate("sdxl_lightning_unet"))
    assert {key: tensor.shape for key, tensor in other.items()} == {key: tensor.shape for key, tensor in own.items()}
    assert not torch.equal(own["mid_block.resnets.0.conv1.weight"], other["mid_block.resnets.0.conv1.weight"])


@pytest.mark.parametrize(
    ("name", "side", "tokens", "width", "projected"),
    [("clip_vit_h", 224, 257, 48, 32), ("clip_vit_bigg", 224, 257, 80, 40), ("clip_vit_l_336", 336, 577, 64, 24)],
)
def test_image_encoders_make_a_token_per_patch_and_tell_pictures_apart(name, side, tokens, width, projected):
    encoder = CLIPVisionModelWithProjection.from_pretrained(world.locate(name), dtype=torch.float32)
    pixels = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0)).repeat_interleave(side // 4, 2)
    with torch.no_grad():
        seen = encoder(pixels.repeat_interleave(side // 4, 3), output_hidden_states=True)
    assert seen.hidden_states[-2].shape == (2, tokens, width)
    assert seen.image_embeds.shape == (2, projected)
    for features in (seen.hidden_states[-2], seen.image_embeds):
        assert (features[0] - features[1]).abs().mean() > 0.15 * features.abs().mean()
    settings = json.loads((world.locate(name) / "preprocessor_config.json").read_text())
    assert settings["crop_size"] == {"height": side, "width": side}
    assert settings["size"] == {"shortest_edge": side}


@pytest.mark.parametrize(("family", "zero_convs"), [("sd15", 12), ("sdxl", 9)])
def test_controlnets_load_and_do_speak(family, zero_convs):
    net = ControlNetModel.from_pretrained(world.locate(f"control_{family}"))
    convs = [*net.controlnet_down_blocks, net.controlnet_mid_block]
    assert len(convs) == zero_convs + 1
    assert all(conv.weight.abs().mean() > 0 for conv in convs)


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_loras_are_in_kohyas_layout_and_reach_linears_filters_and_convolutions(family):
    with safe_open(world.locate(f"lcm_lora_{family}"), "pt") as file:
        keys = list(file.keys())
        names = {key.partition(".")[0] for key in keys}
        assert {key.partition(".")[2] for key in keys} == {"alpha", "lora_down.weight", "lora_up.weight"}
        ranks = {file.get_tensor(f"{name}.lora_down.weight").ndim for name in names}
        alpha = {file.get_tensor(f"{name}.alpha").item() for name in names}
        rank = {file.get_tensor(f"{name}.lora_down.weight").shape[0] for name in names}
    assert all(name.startswith("lora_unet_down_blocks_") for name in names)
    assert ranks == {2, 4}
    assert alpha != rank  # a reader that forgets alpha shows
    assert world.locate(f"lcm_lora_{family}").name == "pytorch_lora_weights.safetensors"


def test_the_whole_world_is_small():
    folder = world.ensure()
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    assert sum(sizes) < 85_000_000  # 58.5 MB, and 23 of InstantID, PuLID and EcomID: four ControlNets, three PuLIDs
    assert max(sizes) < 8_000_000
    assert all((folder / path).exists() for path in PATHS.values())
