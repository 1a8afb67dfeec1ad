"""What a file is, by its tensors: the plan's checks and the loaders read one table."""

import pytest
from doubles import original_layout

from idgen.recipes.variants import VARIANTS
from idgen.tiny import world
from idgen.tiny.files import ADAPTERS, INSTANTID
from idgen.weights.headers import shapes_of
from idgen.weights.recognition import FILES, INSTEAD, instead, is_a, likely_kinds, own_shapes, projection_of

LOOKS = {
    "sd15/unet/diffusion_pytorch_model.safetensors": {"unet"},
    "kolors/unet/diffusion_pytorch_model.safetensors": {"unet"},
    "sdxl/vae/diffusion_pytorch_model.safetensors": {"vae"},
    "clip-vit-h-14/model.safetensors": {"image_encoder"},
    "controlnet-sd15/diffusion_pytorch_model.safetensors": {"net"},
    "instantid/ControlNetModel/diffusion_pytorch_model.safetensors": {"net"},
    "lcm-lora-sdv1-5/pytorch_lora_weights.safetensors": {"lora"},
    "ip-adapter_sd15.safetensors": {"adapter", "branches"},
    "instantid/ip-adapter.bin": {"adapter", "branches"},
    "ip-adapter-faceid_sd15.bin": {"adapter", "branches", "lora"},
    "ipa-faceid-plus.bin": {"adapter", "branches"},
}
"""File of the tiny world -> what it looks like; the LoRA in FaceID's file is the adapter's own."""


@pytest.mark.parametrize("file", LOOKS)
def test_a_file_looks_like_what_it_is_and_like_nothing_else(file):
    names = shapes_of(world.ensure() / file)
    assert {kind for kind in FILES if is_a(kind, names)} == LOOKS[file]


@pytest.mark.parametrize("name", ["face_parser", "eva_clip"])
def test_what_pulid_looks_through_is_known(name):
    kind = {"eva_clip": "tower"}.get(name, name)
    assert {one for one in FILES if is_a(one, shapes_of(world.locate(name)))} == {kind}


@pytest.mark.parametrize("file", [*ADAPTERS.values(), INSTANTID], ids=lambda file: file.file)
def test_an_adapters_file_may_be_of_its_own_kind_and_of_no_kind_with_another_projection(file):
    shapes = shapes_of(world.ensure() / file.file)
    own = own_shapes(shapes)
    kinds = likely_kinds(own, has_lora=any("_lora." in name for name in shapes))
    assert file.kind in kinds
    assert {VARIANTS[kind].projection for kind in kinds} == {projection_of(own)}


@pytest.mark.parametrize(
    ("of", "names", "says"),
    [
        ("base", ["input_blocks.0.0.weight"], "a UNet alone: give it as base.unet"),
        ("base", ["down_blocks.0.resnets.0.conv1.weight"], "a UNet alone"),
        ("base", ["conditioner.embedders.0.model.ln_final.weight"], "SDXL's refiner"),
        ("base", ["model.diffusion_model.input_blocks.0.0.weight"], ""),
        ("lora", ["lora_unet_mid.hada_w1_a"], "a LoHa"),
        ("lora", ["lora_unet_mid.hada_w1_a.more"], ""),
        ("lora", ["unet.mid.lora_A.weight"], ""),
        ("pulid", ["pulid_ca.0.to_q.weight"], "PuLID for FLUX"),
        ("pulid", ["image_proj.proj_in.weight", "image_proj.proj.weight"], "an IP-Adapter-Plus"),
        ("pulid", ["id_adapter.body.0.weight"], ""),
    ],
)
def test_what_people_give_in_the_place_of_another_file_is_called_by_its_name(of, names, says):
    assert instead(of, names).startswith(says)
    assert bool(instead(of, names)) == bool(says)
    assert of in INSTEAD


def test_a_whole_base_in_one_file_is_one(tmp_path):
    original_layout.write(world.locate("sdxl"), tmp_path / "base.safetensors")
    names = shapes_of(tmp_path / "base.safetensors")
    assert is_a("base", names)
    assert instead("base", names) == ""
    assert not is_a("lora", names)
