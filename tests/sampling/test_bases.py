"""Bases are read in the precision they are stored in, from the files that the key names."""

import shutil

import pytest
import torch
from doubles.tiny_recipe import TINY
from safetensors.torch import load_file, save_file

from idgen import weights
from idgen.sampling.bases import Sd15Base
from idgen.tiny import world

FULL, HALF = "diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.fp16.safetensors"


@pytest.fixture
def folder(tmp_path):
    """A base whose UNet is there in float32 and, as a variant, in float16; and once more without averaging."""
    shutil.copytree(world.locate("sd15"), tmp_path / "base")
    unet = tmp_path / "base" / "unet"
    half = load_file(unet / FULL)
    (unet / FULL).rename(unet / HALF)
    save_file({name: tensor.float() + 1e-5 for name, tensor in half.items()}, unet / FULL)
    save_file({name: tensor * 0 for name, tensor in half.items()}, unet / "diffusion_pytorch_model.non_ema.safetensors")
    return tmp_path / "base"


def test_a_base_with_both_variants_is_merged_from_the_full_one(folder):
    loaded = Sd15Base(TINY.base, folder).pipeline.unet.state_dict()
    (path,) = weights.weight_files(folder / "unet", weights.weight_variant(folder))
    stored = load_file(path)
    assert path.name == FULL
    assert all(torch.equal(loaded[name], tensor) for name, tensor in stored.items())


def test_a_base_with_the_half_variant_alone_is_read_from_it(folder):
    (folder / "unet" / FULL).unlink()
    unet = Sd15Base(TINY.base, folder).pipeline.unet
    assert unet.dtype == torch.float16
    assert torch.equal(unet.conv_in.weight, load_file(folder / "unet" / HALF)["conv_in.weight"])
