"""What the plain loop reads of an adapter, against what diffusers itself takes."""

from dataclasses import replace

import diffusers.loaders.ip_adapter
import pytest
import torch
from doubles.tiny_recipe import recipe

from idgen import weights
from idgen.benchmark.plain import PlainLoop, readable
from idgen.full_size import adapters
from idgen.full_size.pictures import bucket_for, rows_for
from idgen.recipes.recipe import AdapterSpec

CPU = torch.device("cpu")
FULL = {
    "faceid": adapters.write_faceid_sdxl,
    "faceid_plusv2": adapters.write_faceid_plusv2_sd15,
    "instantid": adapters.write_instantid,
}


@pytest.fixture(scope="module")
def unet():
    return PlainLoop(recipe("kolors_faceid_plus"), CPU, texts=object()).pipeline.unet


def diffusers_takes(unet, path):
    try:
        unet._convert_ip_adapter_image_proj_to_diffusers(torch.load(path)["image_proj"])
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("kind", FULL)
def test_files_of_full_size_are_read(kind, unet, tmp_path):
    path = tmp_path / "adapter.bin"
    FULL[kind](path, False)
    assert readable(AdapterSpec(name="face", kind=kind, weights=str(path)))
    assert diffusers_takes(unet, path)


@pytest.mark.parametrize(
    ("kind", "reads"), [("faceid_sd15", False), ("faceid_plusv2_sd15", False), ("instantid", True)]
)
def test_of_the_tiny_ones_those_whose_width_diffusers_knows(kind, reads, unet):
    (spec,) = recipe(kind).adapters
    assert readable(spec) == diffusers_takes(unet, weights.locate(spec.weights)) == reads


@pytest.fixture
def widened(tmp_path):
    """The tiny FaceID with the official hidden width: the rest of it are zeros."""
    made = recipe("faceid_sd15")
    (spec,) = made.adapters
    state = torch.load(weights.locate(spec.weights))
    projection = state["image_proj"]
    more = 1024 - len(projection["proj.0.weight"])
    for name, pad in {"proj.0.weight": (0, 0, 0, more), "proj.0.bias": (0, more), "proj.2.weight": (0, more)}.items():
        projection[name] = torch.nn.functional.pad(projection[name], pad)
    torch.save(state, tmp_path / "faceid.bin")
    return replace(made, adapters=[replace(spec, weights=str(tmp_path / "faceid.bin"))])


def test_an_adapter_is_loaded_with_its_lora_and_changes_the_picture(widened):
    loop = PlainLoop(widened, CPU, None)
    assert loop.leaves_out == ""
    bucket = replace(bucket_for(widened), width=64, height=64, num_inference_steps=2)
    (row,) = rows_for(widened, bucket, 1)
    with_person = loop.denoise(row, bucket, 2)
    assert not torch.equal(with_person, loop.denoise(replace(row, ip_adapter_scale=0.0), bucket, 2))
    assert PlainLoop(recipe("faceid_sd15"), CPU, None).leaves_out == (
        "the adapter faceid, which diffusers does not read with projections of this width"
    )


def test_a_lora_that_diffusers_leaves_out_is_an_error(widened, monkeypatch):
    monkeypatch.setattr(diffusers.loaders.ip_adapter, "USE_PEFT_BACKEND", False)
    with pytest.raises(RuntimeError, match="peft is missing"):
        PlainLoop(widened, CPU, None)
