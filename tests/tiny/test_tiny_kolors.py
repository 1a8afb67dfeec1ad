"""The tiny Kolors has the official layout: what Kolors' files hold is spelt out here once more."""

import json

import pytest
import torch
from diffusers import KolorsPipeline
from safetensors import safe_open

from idgen.tiny import world

MODEL_INDEX = {
    "_class_name": "KolorsPipeline",
    "feature_extractor": [None, None],
    "force_zeros_for_empty_prompt": False,
    "image_encoder": [None, None],
    "scheduler": ["diffusers", "EulerDiscreteScheduler"],
    "text_encoder": ["kolors", "ChatGLMModel"],
    "tokenizer": ["kolors", "ChatGLMTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}
SCHEDULER = {
    "beta_start": 0.00085, "beta_end": 0.014, "beta_schedule": "scaled_linear", "num_train_timesteps": 1100,
    "timestep_spacing": "leading", "steps_offset": 1, "prediction_type": "epsilon", "use_karras_sigmas": False,
}  # fmt: skip
CHATGLM = {
    "model_type": "chatglm", "multi_query_attention": True, "multi_query_group_num": 2, "add_qkv_bias": True,
    "add_bias_linear": False, "original_rope": True, "rmsnorm": True, "post_layer_norm": True,
}  # fmt: skip
UNET = {
    "encoder_hid_dim_type": "text_proj", "addition_embed_type": "text_time", "use_linear_projection": True,
    "transformer_layers_per_block": [1, 2, 10], "layers_per_block": 2, "in_channels": 4,
}  # fmt: skip
LAYERS, STATES, TEXT, GROUPS = 3, 128, 96, 2
SPECIALS = 9
"""Tokens that ChatGLM's tokenizer adds to the pieces."""


def settings(name: str) -> dict:
    return json.loads((world.locate("kolors") / name).read_text())


def shapes(base: str, name: str) -> dict[str, list[int]]:
    with safe_open(world.locate(base) / name, "pt") as file:
        return {key: file.get_slice(key).get_shape() for key in file.keys()}  # noqa: SIM118


@pytest.fixture(scope="module")
def pipeline():
    torch.set_num_threads(1)
    return KolorsPipeline.from_pretrained(world.locate("kolors"))


def test_the_model_index_names_the_official_classes():
    found = settings("model_index.json")
    del found["_diffusers_version"]
    assert found == MODEL_INDEX


@pytest.mark.parametrize(
    ("name", "official"),
    [
        ("scheduler/scheduler_config.json", SCHEDULER),
        ("text_encoder/config.json", CHATGLM),
        ("unet/config.json", UNET),
        ("vae/config.json", {"scaling_factor": 0.13025, "latent_channels": 4}),
        ("tokenizer/tokenizer_config.json", {"padding_side": "left", "tokenizer_class": "ChatGLMTokenizer"}),
    ],
)
def test_settings_are_the_official_ones(name, official):
    found = settings(name)
    assert {key: found[key] for key in official} == official


def test_the_text_encoder_holds_exactly_chatglms_tensors():
    config = settings("text_encoder/config.json")
    vocabulary, feed, heads = config["padded_vocab_size"], config["ffn_hidden_size"], config["num_attention_heads"]
    rotated = config["kv_channels"] // 2
    inner, shared = heads * config["kv_channels"], 2 * GROUPS * config["kv_channels"]
    expected = {
        "embedding.word_embeddings.weight": [vocabulary, STATES],
        "output_layer.weight": [vocabulary, STATES],
        "encoder.final_layernorm.weight": [STATES],
        "rotary_pos_emb.inv_freq": [rotated // 2],
    }
    for number in range(LAYERS):
        layer = f"encoder.layers.{number}"
        expected |= {
            f"{layer}.input_layernorm.weight": [STATES],
            f"{layer}.post_attention_layernorm.weight": [STATES],
            f"{layer}.self_attention.query_key_value.weight": [inner + shared, STATES],
            f"{layer}.self_attention.query_key_value.bias": [inner + shared],
            f"{layer}.self_attention.dense.weight": [STATES, inner],
            f"{layer}.mlp.dense_h_to_4h.weight": [2 * feed, STATES],  # swiglu
            f"{layer}.mlp.dense_4h_to_h.weight": [STATES, feed],
        }
    assert shapes("kolors", "text_encoder/model.safetensors") == expected


def test_the_unet_has_sdxls_keys_and_projects_the_text():
    found, sdxl = (shapes(base, "unet/diffusion_pytorch_model.safetensors") for base in ("kolors", "sdxl"))
    assert found.keys() - sdxl.keys() == {"encoder_hid_proj.weight", "encoder_hid_proj.bias"}
    assert not sdxl.keys() - found.keys()
    assert found["encoder_hid_proj.weight"] == [TEXT, STATES]
    assert found["add_embedding.linear_1.weight"][1] == 6 * 8 + STATES  # six sizes, and the pooled text
    assert {shape[1] for key, shape in found.items() if "attn2.to_k" in key} == {TEXT}


def test_the_vae_is_sdxls():
    found, sdxl = (shapes(base, "vae/diffusion_pytorch_model.safetensors") for base in ("kolors", "sdxl"))
    assert found == sdxl


def test_attentions_stand_at_the_positions_of_the_official_adapter(pipeline):
    names = list(pipeline.unet.attn_processors)
    assert len(names) == 140
    parts = {"down_blocks.1": (1, 7), "down_blocks.2": (9, 47), "up_blocks.0": (49, 107), "up_blocks.1": (109, 119)}
    for block, (first, last) in {**parts, "mid_block": (121, 139)}.items():
        assert all(names[at].startswith(block) and "attn2" in names[at] for at in range(first, last + 1, 2))


def test_the_vocabulary_has_room_for_every_token_and_the_nine_specials(pipeline):
    tokenizer = pipeline.tokenizer
    pieces = tokenizer.tokenizer.sp_model.vocab_size()
    assert tokenizer.vocab_size == pieces + SPECIALS
    assert list(tokenizer("").input_ids) == [tokenizer.get_command(name) for name in ("[gMASK]", "sop")]
    assert max(tokenizer("").input_ids) < tokenizer.vocab_size <= pipeline.text_encoder.config.padded_vocab_size
    assert pipeline.text_encoder.config.padded_vocab_size % 64 == 0  # as the real one


def test_the_stock_pipeline_runs_and_prompts_in_both_languages_show(pipeline):
    pipeline.set_progress_bar_config(disable=True)
    pipeline.to(dtype=torch.float32)
    pictures = [
        pipeline(
            prompt, height=64, width=64, num_inference_steps=4, output_type="pt",
            generator=torch.Generator().manual_seed(1),
        ).images[0]
        for prompt in ("a woman in a garden", "一位女人在花园里", "一位女人在街道上", "a woman in a garden")
    ]  # fmt: skip
    assert torch.equal(pictures[0], pictures[3])
    for one, other in ((0, 1), (1, 2)):
        assert 255 * (pictures[one] - pictures[other]).abs().mean() > 5
    assert all(picture.std(dim=(1, 2)).min() > 15 / 255 for picture in pictures)
