"""A VAE or a UNet from elsewhere takes the place of the base's own, whole or not at all."""

import shutil

import pytest
import torch
from doubles import original_layout
from safetensors.torch import load_file, save_file
from torch import nn

from idgen.errors import RunError
from idgen.recipes.recipe import Base
from idgen.sampling import bases
from idgen.tiny import world

KINDS = ["sd15", "sdxl"]
FILE = "diffusion_pytorch_model.safetensors"


def load(kind, **changes):
    return bases.load(Base(kind=kind, **{"weights": f"tiny:{kind}", "dtype": "float32", **changes})).pipeline


def same(module: nn.Module, tensors) -> bool:
    state = module.state_dict()
    return state.keys() == tensors.keys() and all(
        torch.equal(state[key].to(tensors[key]), tensors[key]) for key in state
    )


def other_vae(kind, folder):
    """Another VAE of the family, in a folder."""
    shutil.copytree(world.locate(kind) / "vae", folder)
    save_file({name: tensor * 0.5 for name, tensor in load_file(folder / FILE).items()}, folder / FILE)
    return folder


@pytest.fixture
def vae(tmp_path):
    """Another VAE of SD 1.5."""
    return other_vae("sd15", tmp_path / "vae")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["folder", "variant", "diffusers file", "original file", "whole checkpoint"])
def test_a_vae_from_elsewhere_in_every_form(kind, form, tmp_path):
    vae = other_vae(kind, tmp_path / "vae")
    expected = load_file(vae / FILE)
    path = vae
    if form == "variant":
        (vae / FILE).rename(vae / "diffusion_pytorch_model.fp16.safetensors")
    elif form != "folder":
        prefix = "first_stage_model." if form == "whole checkpoint" else ""
        tensors = expected if form == "diffusers file" else original_layout.vae(expected)
        path = tmp_path / "vae.safetensors"
        save_file({prefix + name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    made = load(kind, vae=str(path), vae_dtype="float32")
    assert same(made.vae, expected)
    assert made.vae.dtype == torch.float32
    own = load(kind)
    assert not same(own.vae, expected)
    assert same(made.unet, own.unet.state_dict())


def test_a_vae_stands_in_where_a_single_file_has_none(vae, tmp_path):
    whole = load_file(original_layout.write(world.locate("sd15"), tmp_path / "whole.safetensors"))
    save_file(
        {name: tensor for name, tensor in whole.items() if not name.startswith("first_stage_model.")},
        tmp_path / "novae.safetensors",
    )
    made = load("sd15", weights=str(tmp_path / "novae.safetensors"), config="tiny:sd15", vae=str(vae))
    assert same(made.vae, load_file(vae / FILE))


def test_a_vae_of_another_build_is_refused(vae, tmp_path):
    tensors = load_file(vae / FILE)
    save_file(
        {**tensors, "decoder.conv_out.weight": tensors["decoder.conv_out.weight"][:, :4].contiguous()},
        tmp_path / "vae.safetensors",
    )
    with pytest.raises(RunError, match=r"vae.safetensors cannot be read as a VAE for a base like"):
        load("sd15", vae=str(tmp_path / "vae.safetensors"))


def test_a_unet_from_elsewhere_takes_the_place_of_the_bases_own():
    path = world.locate("sdxl_lightning_unet")
    made = load("sdxl", unet=str(path))
    assert made.unet.dtype == torch.float16
    assert same(made.unet, load_file(path))
    assert not same(load("sdxl").unet, load_file(path))
    assert same(made.vae, load("sdxl").vae.state_dict())


def test_beside_such_a_unet_the_bases_own_need_not_be_there(tmp_path):
    shutil.copytree(world.locate("sdxl"), tmp_path / "base")
    (tmp_path / "base/unet" / FILE).unlink()
    made = load("sdxl", weights=str(tmp_path / "base"), unet="tiny:sdxl_lightning_unet")
    assert same(made.unet, load_file(world.locate("sdxl_lightning_unet")))


def test_a_unet_for_a_single_file_too(tmp_path):
    whole = original_layout.write(world.locate("sdxl"), tmp_path / "whole.safetensors")
    made = load("sdxl", weights=str(whole), config="tiny:sdxl", unet="tiny:sdxl_lightning_unet")
    assert same(made.unet, load_file(world.locate("sdxl_lightning_unet")))


def more(tensors):
    return {**tensors, "left.over": torch.zeros(1)}


def fewer(tensors):
    return {name: tensor for name, tensor in tensors.items() if name != "conv_in.bias"}


def wider(tensors):
    return {**tensors, "conv_in.bias": torch.zeros(17)}


@pytest.mark.parametrize("change", [more, fewer, wider])
def test_a_unet_that_does_not_fit_to_the_last_tensor_is_refused(change, tmp_path):
    path = tmp_path / "unet.safetensors"
    save_file(change(load_file(world.locate("sdxl_lightning_unet"))), path)
    with pytest.raises(RunError, match=r"unet.safetensors cannot be read as a UNet for a base like .*sdxl"):
        load("sdxl", unet=str(path))


def test_a_unet_of_another_family_is_refused():
    with pytest.raises(RunError, match=r"cannot be read as a UNet for a base like .*sd15"):
        load("sd15", unet="tiny:sdxl_lightning_unet")


@pytest.mark.parametrize("part", ["vae", "unet"])
def test_a_pickled_part_is_refused(part, tmp_path):
    (tmp_path / "part.ckpt").write_bytes(b"anything")
    with pytest.raises(RunError, match=r"may be a pickle.*give the .safetensors"):
        load("sd15", **{part: str(tmp_path / "part.ckpt")})
