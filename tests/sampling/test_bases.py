"""Bases are read in the precision they are stored in, from the files that the key names, and cast once."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from idgen import weights
from idgen.errors import Exit, RunError
from idgen.recipes.recipe import Base
from idgen.sampling import bases
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


def load(folder, kind="sd15", **changes):
    return bases.load(Base(kind=kind, weights=str(folder), **{"dtype": "float32", **changes}))


def test_a_base_with_both_variants_is_merged_from_the_full_one(folder):
    loaded = load(folder).pipeline.unet.state_dict()
    (path,) = weights.weight_files(folder / "unet", weights.weight_variant(folder, "unet"))
    stored = load_file(path)
    assert path.name == FULL
    assert all(torch.equal(loaded[name], tensor) for name, tensor in stored.items())


def test_a_base_with_the_half_variant_alone_is_read_from_it(folder):
    (folder / "unet" / FULL).unlink()
    unet = load(folder).pipeline.unet
    assert unet.dtype == torch.float16
    assert torch.equal(unet.conv_in.weight, load_file(folder / "unet" / HALF)["conv_in.weight"])


@pytest.mark.parametrize("kind", ["sd15", "sdxl"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_placing_casts_unet_and_text_encoders_and_leaves_the_vae_what_the_recipe_says(kind, dtype):
    base = bases.load(Base(kind=kind, weights=f"tiny:{kind}", dtype=dtype, vae_dtype="float32"))
    parts = {name: part for name, part in base.pipeline.components.items() if isinstance(part, torch.nn.Module)}
    assert {name: part.dtype for name, part in parts.items() if name != "vae"} == dict.fromkeys(
        parts.keys() - {"vae"}, torch.float16
    )
    base.place(torch.device("cpu"))
    assert base.dtype == getattr(torch, dtype)
    assert {part.dtype for name, part in parts.items() if name != "vae"} == {base.dtype}
    assert base.pipeline.vae.dtype == torch.float32
    assert not any(tensor.requires_grad for part in parts.values() for tensor in part.parameters())
    assert not any(part.training for part in parts.values())


@pytest.mark.parametrize(("force_upcast", "dtype"), [(True, torch.float32), (False, torch.float16)])
def test_a_vae_of_sdxl_that_overflows_in_float16_works_in_float32_whatever_the_recipe_says(
    tmp_path, force_upcast, dtype
):
    shutil.copytree(world.locate("sdxl"), tmp_path / "base")
    change(tmp_path / "base/vae/config.json", force_upcast=force_upcast)
    assert load(tmp_path / "base", "sdxl", vae_dtype="float16").pipeline.vae.dtype == dtype


def test_sdxls_pictures_get_no_watermark():
    assert load(world.locate("sdxl"), "sdxl").pipeline.watermark is None


@pytest.mark.parametrize(("kind", "other"), [("sd15", "sdxl"), ("sdxl", "sd15")])
def test_a_base_of_another_family_is_refused_with_what_to_do(kind, other):
    with pytest.raises(
        RunError, match=rf"does not belong to the family of base.kind={kind}.*correct base.kind"
    ) as caught:
        load(world.locate(other), kind)
    assert caught.value.exit_code == Exit.USAGE


def test_an_inpainting_base_is_refused(tmp_path):
    shutil.copytree(world.locate("sd15"), tmp_path / "base")
    unet = tmp_path / "base/unet"
    change(unet / "config.json", in_channels=9)
    tensors = load_file(unet / FULL)
    tensors["conv_in.weight"] = torch.cat([tensors["conv_in.weight"]] * 3, dim=1)[:, :9].contiguous()
    save_file(tensors, unet / FULL)
    with pytest.raises(RunError, match="takes 9 channels"):
        load(tmp_path / "base")


def test_a_folder_that_is_no_base_is_refused(tmp_path):
    with pytest.raises(RunError, match=r"no model_index.json"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("kind", "part"),
    [("sd15", "unet"), ("sd15", "vae"), ("sd15", "text_encoder"), ("sdxl", "text_encoder"), ("sdxl", "text_encoder_2")],
)
def test_a_base_with_weights_missing_is_refused_not_filled_with_random_ones(tmp_path, kind, part):
    shutil.copytree(world.locate(kind), tmp_path / "base")
    (path,) = (tmp_path / "base" / part).glob("*.safetensors")
    tensors = load_file(path)
    missing = [name for name, tensor in tensors.items() if tensor.dim() > 1][-1]
    del tensors[missing]
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(RunError, match=rf"1 weights of the {part} are missing, {missing}"):
        load(tmp_path / "base", kind)


def change(path, **settings):
    """Change settings in a JSON file."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))
