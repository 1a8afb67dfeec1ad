"""A base whose parts do not belong together is refused when it is loaded, in one line that says what the file is."""

import json
import shutil

import pytest
import torch
from diffusers import AutoencoderKL
from doubles import original_layout
from safetensors.torch import load_file, save_file

from idgen.errors import Exit, RunError
from idgen.recipes.recipe import Base
from idgen.sampling import bases
from idgen.tiny import world

KINDS = ["sd15", "sdxl"]
PREFIX = "model.diffusion_model."


def load(kind, **changes):
    return bases.load(Base(kind=kind, **{"weights": f"tiny:{kind}", "dtype": "float32", **changes}))


def refused(kind, **changes) -> str:
    with pytest.raises(RunError) as caught:
        load(kind, **changes)
    assert caught.value.exit_code == Exit.USAGE
    assert "\n" not in caught.value.message
    return caught.value.message


@pytest.mark.parametrize(("kind", "other"), [("sd15", "sdxl"), ("sdxl", "sd15"), ("kolors", "sd15")])
def test_a_vae_of_another_family_is_refused_in_every_form_that_tells(kind, other, tmp_path):
    folder = world.locate(other) / "vae"
    assert "its latents belong to another family" in refused(kind, vae=str(folder))
    whole = original_layout.write(world.locate(other), tmp_path / "whole.safetensors")
    assert "its latents belong to another family" in refused(kind, vae=str(whole))


@pytest.mark.parametrize("kind", ["sd15", "sdxl", "kolors"])
def test_a_vae_of_sixteen_channels_is_refused_before_anything_is_sampled(kind, tmp_path):
    settings = AutoencoderKL.load_config(world.locate(kind) / "vae")
    AutoencoderKL.from_config(dict(settings) | {"latent_channels": 16}).save_pretrained(tmp_path / "vae")
    assert f"has latents of 16 channels, but {kind} has 4" in refused(kind, vae=str(tmp_path / "vae"))


@pytest.mark.parametrize("kind", ["sd15", "sdxl", "kolors"])
@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"_class_name": "EDMDPMSolverMultistepScheduler", "sigma_data": 0.5}, "was trained with EDM"),
        ({"prediction_type": "flow_prediction"}, "was trained as a flow"),
    ],
)
def test_a_base_trained_in_another_way_is_refused(kind, settings, says, tmp_path):
    folder = shutil.copytree(world.locate(kind), tmp_path / "base")
    file = folder / "scheduler" / "scheduler_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **settings}))
    assert says in refused(kind, weights=str(folder))


def test_sdxls_refiner_as_a_folder_is_known(tmp_path):
    folder = shutil.copytree(world.locate("sdxl"), tmp_path / "refiner")
    shutil.rmtree(folder / "text_encoder")
    index = json.loads((folder / "model_index.json").read_text()) | {"text_encoder": [None, None]}
    (folder / "model_index.json").write_text(json.dumps(index))
    assert "has no text_encoder, so it is not a complete sdxl base; SDXL's refiner" in refused(
        "sdxl", weights=str(folder)
    )


@pytest.fixture
def whole(tmp_path):
    """A base's tensors in the original layout."""
    return lambda kind: load_file(original_layout.write(world.locate(kind), tmp_path / f"{kind}.safetensors"))


def test_sdxls_refiner_as_a_file_is_known(whole, tmp_path):
    first, second = "conditioner.embedders.0.", "conditioner.embedders.1."
    tensors = {name: one for name, one in whole("sdxl").items() if not name.startswith(first)}
    renamed = {name.replace(second, first): one for name, one in tensors.items()}
    save_file(renamed, tmp_path / "refiner.safetensors")
    words = refused("sdxl", weights=str(tmp_path / "refiner.safetensors"), config="tiny:sdxl")
    assert (
        "refiner.safetensors is SDXL's refiner, which has only one text encoder: use the base that it refines" in words
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layout", ["original", "diffusers"])
def test_a_unet_alone_as_a_base_says_where_it_goes(kind, layout, whole, tmp_path):
    if layout == "original":
        names = {name.removeprefix(PREFIX): one for name, one in whole(kind).items() if name.startswith(PREFIX)}
    else:
        names = load_file(world.locate(kind) / "unet" / "diffusion_pytorch_model.safetensors")
    save_file(names, tmp_path / "unet.safetensors")
    words = refused(kind, weights=str(tmp_path / "unet.safetensors"), config=f"tiny:{kind}")
    assert words.endswith("is a UNet alone: give it as base.unet, with a complete base in base.weights")


@pytest.mark.parametrize("kind", KINDS)
def test_a_unet_alone_is_read_with_the_original_layouts_prefix_and_without(kind, whole, tmp_path):
    tensors = {name: one for name, one in whole(kind).items() if name.startswith(PREFIX)}
    expected = load(kind).pipeline.unet.state_dict()
    for start in (PREFIX, ""):
        changed = {start + name.removeprefix(PREFIX): one * 0.5 for name, one in tensors.items()}
        save_file(changed, tmp_path / "unet.safetensors")
        found = load(kind, unet=str(tmp_path / "unet.safetensors")).pipeline.unet.state_dict()
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], one * 0.5) for name, one in expected.items())


@pytest.mark.parametrize("kind", KINDS)
def test_a_tokenizer_that_does_not_say_its_length_has_the_encoders(kind, tmp_path):
    folder = shutil.copytree(world.locate(kind), tmp_path / "base")
    for file in folder.glob("tokenizer*/tokenizer_config.json"):
        settings = json.loads(file.read_text())
        settings.pop("model_max_length", None)
        file.write_text(json.dumps(settings))
    plain, without = load(kind), load(kind, weights=str(folder))
    long = "a woman in a garden, " * 60
    for prompt in ("a cat", long):
        expected, found = plain.encode(prompt), without.encode(prompt)
        assert torch.equal(found.embeddings, expected.embeddings)
        assert found.tokens_cut == expected.tokens_cut
    assert without.encode(long).tokens_cut > 0
