"""One form of each model's weights is loaded, and half a download is refused."""

import pytest
from diffusers import AutoencoderKL
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from idgen import weights
from idgen.errors import RunError
from idgen.weights.files import base_files, config_files, model_files
from idgen.weights.names import index_of, weight_names


@pytest.mark.parametrize(
    ("there", "variant", "loaded"),
    [
        ("diffusion_pytorch_model.fp16.safetensors diffusion_pytorch_model.safetensors", None, [1]),
        ("diffusion_pytorch_model.fp16.safetensors diffusion_pytorch_model.safetensors", "fp16", [0]),
        ("model.safetensors pytorch_model.bin", "fp16", [0]),
        ("pytorch_model.bin model.non_ema.safetensors", None, [0]),
        ("model-00001-of-00002.safetensors model-00002-of-00002.safetensors model.bin", None, [0, 1]),
        ("model.fp16-00001-of-00001.safetensors model-00001-of-00001.fp16.safetensors", "fp16", [1, 0]),
        ("model.fp16.non_ema.safetensors openvino_model.bin", "fp16", []),
    ],
)
def test_one_form_of_the_weights_is_loaded(tmp_path, there, variant, loaded):
    names = there.split()
    for name in names:
        (tmp_path / name).touch()
    assert [path.name for path in weights.weight_files(tmp_path, variant)] == [names[i] for i in loaded]


def make(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def test_the_unet_decides_the_bases_variant_and_without_one_the_text_encoder(tmp_path):
    make(tmp_path, "unet/config.json", "text_encoder/model.fp16.safetensors", "vae/diffusion_pytorch_model.safetensors")
    assert weights.weight_variant(tmp_path, "unet") == "fp16"
    make(tmp_path, "unet/diffusion_pytorch_model.safetensors")
    assert weights.weight_variant(tmp_path, "unet") is None


def test_a_unet_from_elsewhere_leaves_the_settings_of_the_bases_own(tmp_path):
    make(tmp_path, "unet/config.json", "unet/diffusion_pytorch_model.safetensors", "vae/config.json")
    names = {name for name, _ in base_files(tmp_path, own_denoiser=False, own_vae=True, denoiser="unet")}
    assert names == {"unet/config.json", "vae/config.json"}


def test_a_denoiser_of_another_name_is_in_the_identity_and_decides_the_variant(tmp_path):
    make(tmp_path, "transformer/config.json", "transformer/diffusion_pytorch_model.fp16.safetensors",
         "unet/config.json", "vae/config.json", "vae/diffusion_pytorch_model.safetensors")  # fmt: skip
    names = {name for name, _ in base_files(tmp_path, own_denoiser=True, own_vae=True, denoiser="transformer")}
    assert names == {
        "transformer/config.json", "transformer/diffusion_pytorch_model.fp16.safetensors", "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors",
    }  # fmt: skip
    assert weights.weight_variant(tmp_path, "transformer") == "fp16"
    settings = [name for name, _ in config_files(tmp_path, "transformer")]
    assert settings == ["transformer/config.json", "vae/config.json"]


def test_a_denoiser_of_another_name_of_which_half_came_is_refused(tmp_path):
    make(tmp_path, "transformer/config.json")
    (tmp_path / "model_index.json").write_text('{"transformer": ["d", "T"]}')
    with pytest.raises(RunError, match="its transformer folder has no weights"):
        base_files(tmp_path, own_denoiser=True, own_vae=True, denoiser="transformer")


@pytest.mark.parametrize(
    ("gone", "what"),
    [
        ("text_encoder/model.safetensors", "text_encoder folder has no weights"),
        ("tokenizer/vocab.json", "tokenizer folder has no files"),
    ],
)
def test_a_base_of_which_half_came_is_refused(tmp_path, gone, what):
    make(tmp_path, "unet/diffusion_pytorch_model.safetensors", "text_encoder/config.json", "tokenizer/vocab.json",
         "text_encoder/model.safetensors")  # fmt: skip
    index = '{"unet": ["d", "U"], "text_encoder": ["t", "C"], "tokenizer": ["t", "T"], "vae": [null, null]}'
    (tmp_path / "model_index.json").write_text(index)
    assert base_files(tmp_path, own_denoiser=True, own_vae=True, denoiser="unet")
    (tmp_path / gone).unlink()
    with pytest.raises(RunError, match=what):
        base_files(tmp_path, own_denoiser=True, own_vae=True, denoiser="unet")


def test_shards_must_all_be_there(tmp_path):
    make(tmp_path, "config.json", "model-00001-of-00002.safetensors")
    with pytest.raises(RunError, match="1 of 2 shards"):
        model_files(tmp_path)
    make(tmp_path, "model-00002-of-00002.safetensors")
    with pytest.raises(RunError, match=r"model\.safetensors\.index\.json is missing"):
        model_files(tmp_path)
    make(tmp_path, "model.safetensors.index.json")
    assert len(model_files(tmp_path)) == 3  # the index says nothing that the shards do not


@pytest.mark.parametrize("variant", [None, "fp16"])
@pytest.mark.parametrize("library", ["diffusers", "transformers"])
def test_the_index_of_shards_has_the_name_that_libraries_give_it(tmp_path, library, variant):
    if library == "diffusers":
        model = AutoencoderKL(block_out_channels=(8,), norm_num_groups=8, layers_per_block=1)
    else:
        config = CLIPVisionConfig(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1)
        model = CLIPVisionModelWithProjection(config)
    model.save_pretrained(tmp_path, variant=variant, max_shard_size="10KB")
    names = {path.name for path in tmp_path.iterdir()}
    shards = weight_names(names, variant)
    assert len(shards) > 1
    assert {index_of(shards)} == names - {*shards, "config.json"}
    assert index_of(["model.safetensors"]) is None


def test_a_model_without_weights_is_refused(tmp_path):
    make(tmp_path, "config.json", "model.onnx")
    with pytest.raises(RunError, match="no weights"):
        model_files(tmp_path)
