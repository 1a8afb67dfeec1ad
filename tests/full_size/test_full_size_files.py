"""The full-size files are what the product reads, in the published sizes, without a gigabyte on the disk."""

import pytest
import torch
from adapters.official import FILES, UNETS
from diffusers import UNet2DConditionModel
from safetensors import safe_open

from idgen import full_size
from idgen.full_size import adapters, bases, sets, tables
from idgen.full_size.files import write_pickle, write_safetensors, write_shards
from idgen.full_size.tables import Stored, nbytes, table
from idgen.networks import checkpoints
from idgen.recipes.book import load_recipes
from idgen.settings import load_config
from idgen.weights import parts
from idgen.weights.headers import shapes_of
from idgen.weights.layouts import check_layout
from idgen.weights.roles import files_of

HALF = torch.float16
GB = {
    "sd15": {"base": 1.966, "vae": 0.335, "adapter:faceid": 0.157, "image_encoder:faceid": 2.528},
    "sdxl": {"base": 6.94, "adapter:faceid": 1.071},
    "instantid": {"base": 6.94, "adapter:instantid": 1.691, "control:identity": 2.502},
    "ecomid": {
        "base": 6.94, "adapter:ecomid": 0.791, "image_encoder:ecomid": 0.860, "face_parser:ecomid": 0.053,
        "context:ecomid": 1.691, "control:identity": 5.004, "control:inpaint": 2.502,
    },
    "kolors": {"base": 5.327, "text": 12.488, "adapter:faceid": 2.386, "image_encoder:faceid": 1.712},
}  # fmt: skip
GB["ecomid alone"] = {role: size for role, size in GB["ecomid"].items() if role != "control:inpaint"}
"""Published sizes of what each recipe loads: specs ecomid.md 2, kolors.md 1, and parameters counted from configs."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("full")


@pytest.mark.parametrize(
    ("recipe", "sizes"), zip(full_size.RECIPES, GB.values(), strict=True), ids=list(full_size.RECIPES)
)
def test_each_recipe_is_pointed_at_files_of_the_kind_and_size_it_asks_for(recipe, sizes, folder):
    words = full_size.write(recipe, folder, fill=False)
    loaded = load_recipes(load_config(words))[recipe]
    for part in parts(loaded):
        assert check_layout(part, loaded)
        if part.role in sizes:
            gigabytes = sum(path.stat().st_size for _, path in files_of(part, loaded)) / 1e9
            assert gigabytes == pytest.approx(sizes[part.role], abs=0.006)
    assert sum(path.stat().st_blocks for path in folder.rglob("*")) * 512 < 20e6


def test_a_recipe_in_a_folder_that_has_its_parts_writes_nothing_again(folder):
    full_size.write("faceid-plusv2-sd15", folder, fill=False)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    words = full_size.write("faceid-plusv2-sd15", folder, fill=False)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == before
    assert f"overrides.faceid-plusv2-sd15.base.weights={folder}/sd15" in words


@pytest.mark.parametrize("family", UNETS)
def test_unets_are_the_published_ones(family):
    with torch.device("meta"):
        official = UNet2DConditionModel(**UNETS[family])
    assert table(bases.unet(family), HALF) == table(official, HALF)


@pytest.mark.parametrize("file", ["faceid-plusv2_sd15", "faceid_sdxl", "ipa-faceid-plus"])
def test_adapters_hold_the_published_tensors(file, tmp_path):
    official = next(one for one in FILES if one.file.endswith(file))
    kind = {"ipa-faceid-plus": "kolors_faceid_plus"}.get(file, file.replace("-", "_"))
    path = tmp_path / "adapter.bin"
    sets.PARTS[kind][1](path, False)
    assert shapes_of(path) == {name: tuple(one.shape) for name, one in official.on_meta().items()}


def test_controlnets_have_as_many_parameters_as_the_published_ones():
    assert nbytes(table(adapters._control_net(), HALF)) == 2 * 1_251_014_160


SMALL = {
    "layer.weight": Stored((40, 30), HALF),
    "norm.weight": Stored((8,), torch.float32),
    "norm.bias": Stored((8,), torch.float32),
    "logit_scale": Stored((), HALF),
    "bn.num_batches_tracked": Stored((), torch.int64),
}


def check_small(found):
    assert {name: (tuple(one.shape), one.dtype) for name, one in found.items()} == {
        name: (one.shape, one.dtype) for name, one in SMALL.items()
    }
    assert found["layer.weight"].float().std() * 30**0.5 == pytest.approx(1, abs=0.1)
    assert (found["norm.weight"] == 1).all()
    assert (found["norm.bias"] == 0).all()


def test_numbers_arrive_in_safetensors(tmp_path):
    write_safetensors(tmp_path / "a.safetensors", SMALL)
    check_small(checkpoints.read(tmp_path / "a.safetensors"))


def test_numbers_arrive_in_pickles_and_in_tables_of_pickles(tmp_path):
    write_pickle(tmp_path / "a.bin", SMALL)
    check_small(checkpoints.read(tmp_path / "a.bin"))
    write_pickle(tmp_path / "b.bin", {"image_proj": SMALL, "ip_adapter": {"1.weight": Stored((3, 5), HALF)}})
    nested = torch.load(tmp_path / "b.bin", weights_only=True)
    check_small(nested["image_proj"])
    assert nested["ip_adapter"]["1.weight"].abs().min() > 0


def test_a_tensor_larger_than_the_pool_is_filled_to_its_end_and_has_no_equal_rows(tmp_path):
    rows = tables.POOL_NUMBERS // 1000 + 10
    write_safetensors(tmp_path / "a.safetensors", {"a.weight": Stored((rows, 1000), HALF)})
    found = checkpoints.read(tmp_path / "a.safetensors")["a.weight"]
    assert found[-1].abs().max() > 0
    assert len(torch.unique(found[:, :8].float(), dim=0)) == rows


def test_shards_are_named_in_an_index_and_hold_every_tensor_once(tmp_path):
    tensors = {f"{number}.weight": Stored((50, 10 + number), HALF) for number in range(20)}
    write_shards(tmp_path, tensors, 3)
    held = []
    for path in sorted(tmp_path.glob("model-*.safetensors")):
        with safe_open(path, "pt") as file:
            held += list(file.keys())
    assert sorted(held) == sorted(tensors)
    assert len(list(tmp_path.glob("model-*-of-00003.safetensors"))) == 3
