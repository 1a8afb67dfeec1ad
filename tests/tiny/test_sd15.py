"""The tiny world has the official layouts, comes out equal every time, and paints something to look at."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from doubles.tiny_recipe import BUCKET, TINY, person, row
from transformers import CLIPTokenizer

from idgen.errors import Exit, RunError
from idgen.sampling.sampler import Sampler
from idgen.tiny import world

SHA256 = {
    "sd15/unet/diffusion_pytorch_model.safetensors": "778bc7bbad080203",
    "sd15/vae/diffusion_pytorch_model.safetensors": "5d450e5dcf33b068",
    "ip-adapter-faceid_sd15_lora.safetensors": "78833b085a984e6f",
    "sdxl/unet/diffusion_pytorch_model.safetensors": "cf7a54db1919ec5a",
    "ip-adapter-plus_sdxl_vit-h.safetensors": "25929ca5172500de",
    "ip-adapter-faceid-plusv2_sdxl_lora.safetensors": "ee6c62af296b54df",
    "kolors/unet/diffusion_pytorch_model.safetensors": "f5dca9fd563c7d81",
}
"""First digits, of files whose bytes no library's version decides."""
MAKE = "from idgen.tiny import world; print(world.ensure())"


def start_making(folder: Path) -> "subprocess.Popen[bytes]":
    environment = {"IDGEN_TINY_DIR": str(folder), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", MAKE], env=environment, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )


@pytest.mark.slow
def test_the_same_world_comes_out_wherever_it_is_made_and_however_many_make_it(tmp_path):
    makers = [start_making(tmp_path / "one"), start_making(tmp_path / "one")]
    assert [maker.wait(300) for maker in makers] == [0, 0]
    assert [path.name for path in tmp_path.iterdir()] == ["one"]  # no unfinished folder is left
    assert (tmp_path / "one/world.json").read_text() == (world.ensure() / "world.json").read_text()


def test_the_first_worlds_weights_have_stayed_as_they_were_so_catalogues_made_with_them_keep_their_keys():
    made = json.loads((world.ensure() / "world.json").read_text())["sha256"]
    assert {name: made[name][:16] for name in SHA256} == SHA256


@pytest.mark.slow
def test_an_unfinished_folder_is_not_taken_for_the_world(tmp_path, monkeypatch):
    monkeypatch.setenv("IDGEN_TINY_DIR", str(tmp_path / "half"))
    (tmp_path / "half" / "sd15").mkdir(parents=True)
    with pytest.raises(RunError, match="half"):
        world.ensure()


def test_a_world_that_cannot_be_written_is_named_with_what_to_do(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.delenv("IDGEN_TINY_DIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "file"))  # as a home that is read-only
    with pytest.raises(RunError, match=r"cannot be written .* IDGEN_TINY_DIR") as error:
        world.locate("sd15")
    assert error.value.exit_code == Exit.USAGE


def test_the_base_loads_as_a_stock_pipeline_with_the_real_layers():
    pipeline = StableDiffusionPipeline.from_pretrained(world.locate("sd15"))
    names = list(pipeline.unet.attn_processors)
    assert len(names) == 32
    assert sum("attn2" in name for name in names) == 16
    assert pipeline.unet.dtype == torch.float32
    assert pipeline.vae_scale_factor == 8


def test_the_adapter_has_the_hubs_keys():
    state = torch.load(world.locate("faceid_sd15"), weights_only=True)
    assert state.keys() == {"image_proj", "ip_adapter"}
    assert (len(state["image_proj"]), len(state["ip_adapter"])) == (6, 288)
    assert state["image_proj"]["proj.0.weight"].shape[1] == 512
    assert all(tensor.dtype == torch.float16 for part in state.values() for tensor in part.values())


def test_the_tokenizer_keeps_any_text_and_spells_common_words_short():
    tokenizer = CLIPTokenizer.from_pretrained(world.locate("sd15") / "tokenizer")
    assert tokenizer.model_max_length == 77
    assert len(tokenizer("a photo of a woman in a garden").input_ids) == 8 + 2
    for text in ("cabin on zürichsee", "猫 🐈", "x-ray 0123"):
        assert tokenizer.decode(tokenizer(text).input_ids, skip_special_tokens=True).replace(" ", "") == text.replace(
            " ", ""
        )
    texts = ["a garden", "a street", "a garden, a street", "A GARDEN"]
    ids = [tuple(tokenizer(text).input_ids) for text in texts]
    assert len(set(ids[:3])) == 3
    assert ids[0] == ids[3]


@pytest.fixture(scope="module")
def pictures():
    """Of two people, two prompts and two seeds."""
    torch.set_num_threads(1)
    sampler = Sampler.load(TINY, lora_scale=1.0, device="cpu")
    rows = [row(), row(id_embedding=person(2)), row(prompt="neon city street at night"), row(seed=2)]
    return sampler.sample(rows, BUCKET)


def test_pictures_are_colourful(pictures):
    for picture in pictures:
        assert picture.std(axis=(0, 1)).min() > 15  # not flat, in any channel
        assert 40 < picture.mean() < 215
        assert (picture.max(axis=2).astype(int) - picture.min(axis=2)).mean() > 25  # not grey


def test_person_prompt_and_seed_each_change_the_picture_visibly(pictures):
    for other in pictures[1:]:
        assert np.abs(other.astype(int) - pictures[0]).mean() > 5
