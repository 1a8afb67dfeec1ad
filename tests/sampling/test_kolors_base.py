"""Kolors as a base: told from SDXL, read in its own precisions, with what it cannot do refused."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import KolorsPipeline, UNet2DConditionModel
from diffusers.pipelines.kolors import ChatGLMModel
from diffusers.pipelines.kolors.text_encoder import ChatGLMConfig
from doubles.tiny_recipe import BUCKET, control, row
from safetensors.torch import load_file, save_file

from idgen.errors import Exit, RunError
from idgen.networks import attention
from idgen.recipes.recipe import Base, Lora, Recipe
from idgen.sampling import bases
from idgen.sampling.families.kolors_text import KolorsText
from idgen.sampling.sampler import Sampler
from idgen.tiny import kolors, world

CPU = torch.device("cpu")
WEIGHTS = "diffusion_pytorch_model.safetensors"


def spec(weights="tiny:kolors", **changes):
    return Base(kind="kolors", **{"weights": str(weights), "dtype": "float32", **changes})


@pytest.fixture
def folder(tmp_path):
    """A copy that a test may change."""
    shutil.copytree(world.locate("kolors"), tmp_path / "base")
    return tmp_path / "base"


def change(path, **settings):
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))


@pytest.mark.parametrize(
    ("kind", "weights", "looks"),
    [
        ("sdxl", "kolors", "kolors"),
        ("sd15", "kolors", "kolors"),
        ("kolors", "sdxl", "sdxl"),
        ("kolors", "sd15", "sd15"),
    ],
)
def test_a_base_of_another_family_is_refused_with_the_one_it_looks_like(kind, weights, looks):
    with pytest.raises(RunError, match=rf"base.kind={kind}, it looks like {looks}; correct base.kind") as caught:
        bases.load(Base(kind=kind, weights=f"tiny:{weights}"))
    assert caught.value.exit_code == Exit.USAGE


@pytest.mark.parametrize("form", ["with its code", "without its code"])
@pytest.mark.parametrize("load", [bases.load, lambda base: KolorsText.load(base, CPU)], ids=["base", "text encoder"])
def test_the_original_repositorys_layout_is_answered_with_the_diffusers_one(folder, form, load):
    encoder = folder / "text_encoder"
    (encoder / "model.safetensors").unlink()
    for name in ("pytorch_model-00001-of-00007.bin", "pytorch_model.bin.index.json"):
        (encoder / name).write_bytes(b"")
    if form == "with its code":
        (encoder / "modeling_chatglm.py").write_text("raise SystemExit('never run')")
    with pytest.raises(RunError, match=r"authors' own layout.*base\.weights=Kwai-Kolors/Kolors-diffusers") as caught:
        load(spec(folder))
    assert caught.value.exit_code == Exit.USAGE


def test_code_beside_safetensors_is_no_reason_to_refuse_a_base(folder):
    (folder / "text_encoder/modeling_chatglm.py").write_text("raise SystemExit('never run')")
    assert bases.load(spec(folder)).encode("").tokens_cut == 0


def test_a_single_file_is_refused(tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "kolors.safetensors")
    with pytest.raises(RunError, match="single file; Kolors is read from a folder"):
        bases.load(spec(tmp_path / "kolors.safetensors"))


def test_controls_are_refused():
    with pytest.raises(RunError, match=r"no ControlNets for KolorsPipeline.*remove the controls .*\(pose\)"):
        Sampler.load(Recipe(name="k", base=spec(), controls=[control("sdxl")]), lora_scale=1.0, device="cpu")


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_placing_casts_the_unet_and_the_text_encoder_comes_in_the_recipes_dtype(dtype):
    base = bases.load(spec(dtype=dtype))
    base.place(CPU)
    wanted = getattr(torch, dtype)
    assert base.pipeline.unet.dtype == base.encode("a").embeddings.dtype == base.dtype == wanted
    assert base.pipeline.vae.dtype == torch.float32
    assert base.pipeline.text_encoder is None
    assert type(base.pipeline) is KolorsPipeline


@pytest.mark.parametrize(("force_upcast", "dtype"), [(True, torch.float32), (False, torch.float16)])
def test_a_vae_that_overflows_in_float16_works_in_float32_whatever_the_recipe_says(folder, force_upcast, dtype):
    change(folder / "vae/config.json", force_upcast=force_upcast)
    assert bases.load(spec(folder, vae_dtype="float16")).pipeline.vae.dtype == dtype


def picture(number):
    return np.random.default_rng(number).integers(0, 256, (64, 64, 3), np.uint8)


@pytest.mark.parametrize("strength", [None, 0.6])
@pytest.mark.parametrize(
    ("dtype", "vae_dtype"), [("bfloat16", "float32"), ("bfloat16", "float16"), ("float16", "float32")]
)
def test_a_unet_in_half_precision_samples_beside_a_float32_vae(folder, dtype, vae_dtype, strength):
    torch.set_num_threads(1)
    recipe = Recipe(name="k", base=spec(folder, dtype=dtype, vae_dtype=vae_dtype))
    sampler = Sampler.load(recipe, lora_scale=1.0, device="cpu")
    assert (sampler.pipeline.unet.dtype, sampler.pipeline.vae.dtype) == (getattr(torch, dtype), torch.float32)
    bucket = replace(BUCKET, scheduler="euler", strength=strength)
    rows = [row(prompt=prompt, init_image=picture(seed), seed=seed) for seed, prompt in enumerate(["红花", "a boat"])]
    pictures = sampler.sample(rows, bucket)
    assert [one.shape for one in pictures] == [(64, 64, 3)] * 2
    assert all(one.dtype == np.uint8 and np.ptp(one) > 30 for one in pictures)
    exact = Sampler.load(Recipe(name="k", base=spec(folder)), lora_scale=1.0, device="cpu").sample(rows, bucket)
    away = [np.abs(a.astype(int) - b).mean() for a, b in zip(pictures, exact, strict=True)]
    assert max(away) < 16  # of random weights, which rounding moves further than trained ones
    assert np.abs(pictures[0].astype(int) - pictures[1]).mean() > 32


def test_the_stock_pipeline_fails_with_such_a_vae():
    stock = KolorsPipeline.from_pretrained(world.locate("kolors"), dtype=torch.bfloat16)
    stock.vae.to(torch.float32)
    with pytest.raises(RuntimeError, match=r"BFloat16. and bias type .float. should be the same"):
        stock("a boat", num_inference_steps=1, width=64, height=64)


def write_lora(path, prefix, name, module):
    generator = torch.Generator().manual_seed(1)
    down = torch.randn(2, module.weight.shape[1], generator=generator) * 0.1
    up = torch.randn(module.weight.shape[0], 2, generator=generator) * 0.1
    save_file({f"{prefix}.{name}.lora_A.weight": down, f"{prefix}.{name}.lora_B.weight": up}, path)
    return up @ down


def test_a_lora_of_the_unet_is_merged(tmp_path):
    plain = bases.load(spec()).pipeline.unet
    name = "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"
    added = write_lora(tmp_path / "style.safetensors", "unet", name, plain.get_submodule(name))
    lora = Lora(name="style", weights=str(tmp_path / "style.safetensors"), scale=0.5)
    unet = bases.load(spec(loras=[lora])).pipeline.unet
    change = unet.get_submodule(name).weight - plain.get_submodule(name).weight.float()
    assert (change - 0.5 * added).abs().max() < 1e-6
    others = {n for n, p in plain.named_parameters() if not torch.equal(unet.get_parameter(n), p.float())}
    assert others == {f"{name}.weight"}


def test_a_lora_of_the_text_encoder_is_refused_as_prompts_may_be_encoded_elsewhere(tmp_path):
    name = "encoder.layers.0.self_attention.query_key_value"
    encoder = KolorsText.load(spec(), CPU).encoder
    write_lora(tmp_path / "text.safetensors", "text_encoder", name, encoder.get_submodule(name))
    other = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
    write_lora(tmp_path / "both.safetensors", "unet", other, bases.load(spec()).pipeline.unet.get_submodule(other))
    both = load_file(tmp_path / "both.safetensors") | load_file(tmp_path / "text.safetensors")
    save_file(both, tmp_path / "both.safetensors")
    for file in ("text", "both"):
        lora = Lora(name=file, weights=str(tmp_path / f"{file}.safetensors"))
        with pytest.raises(RunError, match=rf"LoRA {file}.*does not fit KolorsPipeline") as caught:
            bases.load(spec(loras=[lora]))
        assert caught.value.exit_code == Exit.USAGE


def test_another_unet_and_another_vae_take_the_place_of_the_bases_own(tmp_path):
    found = world.locate("kolors")
    unet = load_file(found / "unet" / WEIGHTS)
    unet["encoder_hid_proj.bias"] = unet["encoder_hid_proj.bias"] + 1
    save_file(unet, tmp_path / "unet.safetensors")
    shutil.copytree(found / "vae", tmp_path / "vae")
    save_file(
        {name: tensor * 0.5 for name, tensor in load_file(found / "vae" / WEIGHTS).items()}, tmp_path / "vae" / WEIGHTS
    )
    pipeline = bases.load(spec(unet=str(tmp_path / "unet.safetensors"), vae=str(tmp_path / "vae"))).pipeline
    assert torch.equal(pipeline.unet.encoder_hid_proj.bias, unet["encoder_hid_proj.bias"])
    half = load_file(tmp_path / "vae" / WEIGHTS)["decoder.conv_in.weight"].float()
    assert torch.equal(pipeline.vae.decoder.conv_in.weight, half)


FULL_UNET = {
    **kolors.UNET,
    "block_out_channels": (320, 640, 1280),
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "encoder_hid_dim": 4096,
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 6 * 256 + 4096,
    "sample_size": 128,
    "norm_num_groups": 32,
}


def test_the_full_size_unet_has_the_official_shapes():
    with torch.device("meta"):
        unet = UNet2DConditionModel(**FULL_UNET)
    assert sum(tensor.numel() for tensor in unet.parameters()) == pytest.approx(2579.5e6, abs=0.05e6)
    assert len(unet.attn_processors) == 140
    assert len(attention.install(unet)) == 70
    projection = unet.encoder_hid_proj
    assert (projection.in_features, projection.out_features, projection.bias.shape) == (4096, 2048, (2048,))
    assert unet.add_embedding.linear_1.in_features == 5632
    widths = [attention.layer(unet, name).to_k.in_features for name in unet.attn_processors if attention.is_cross(name)]
    assert widths == [2048] * 70


def test_the_full_size_text_encoder_has_the_official_shapes():
    config = ChatGLMConfig(
        num_layers=28, hidden_size=4096, ffn_hidden_size=13696, num_attention_heads=32, kv_channels=128,
        multi_query_attention=True, multi_query_group_num=2, add_qkv_bias=True, original_rope=True,
        padded_vocab_size=65024, seq_length=32768,
    )  # fmt: skip
    encoder = ChatGLMModel(config, device="meta")
    assert len(encoder.encoder.layers) == 28
    whole = sum(tensor.numel() for tensor in encoder.parameters())
    assert whole == pytest.approx(6243.6e6, abs=0.05e6)
    assert 2 * encoder.output_layer.weight.numel() == pytest.approx(0.53e9, rel=0.01)  # bytes that are let go
