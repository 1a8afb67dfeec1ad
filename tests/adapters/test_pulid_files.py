"""PuLID's three file layouts are one thing; anything else is refused with what it looks like."""

import pytest
import torch
from adapters.official import unet
from networks.test_pulid import random_like, v1, v1_1
from safetensors.torch import save_file

from idgen.adapters import layout, pulid_files
from idgen.errors import Exit, RunError
from idgen.networks.pulid import IdEncoder, IdFormer

CROSS = range(1, 140, 2)
WIDE = [number for number in CROSS if 8 <= number < 48 or 48 <= number < 108 or number >= 120]
"""Positions of SDXL's 60 cross-attentions that are 1280 wide."""


ENCODERS = {"v1": v1(1280, 1024, 1024, 2048), "v1.1": v1_1(1280, 1024, 1024, 1024, 2048, 32)}
SMALL = {"v1": v1(12, 6, 8, 4), "v1.1": v1_1(12, 6, 8, 64, 4, 3)}
versions = pytest.mark.parametrize("version", ["v1", "v1.1"])


def meta_like(shapes):
    return {name: torch.empty(shape, dtype=torch.float16, device="meta") for name, shape in shapes.items()}


def flat(encoder, branches):
    tensors = {f"id_adapter.{name}": one for name, one in encoder.items()}
    return tensors | {f"id_adapter_attn_layers.{n}.id_to_{x}.weight": one for (n, x), one in branches.items()}


def like_ip_adapter(encoder, branches):
    tensors = {f"image_proj.{name}": one for name, one in encoder.items()}
    return tensors | {f"ip_adapter.{n}.to_{x}_ip.weight": one for (n, x), one in branches.items()}


def branches(shape=(6, 4)):
    return random_like(dict.fromkeys(((number, x) for number in (1, 3) for x in "kv"), shape))


@versions
def test_a_full_size_file_fits_sdxl_strictly_in_every_layout(version):
    shapes = {(n, x): (1280 if n in WIDE else 640, 2048) for n in CROSS for x in "kv"}
    assert len(shapes) == 140
    assert sum(rows * columns for rows, columns in shapes.values()) == 340_787_200
    hung = {}
    for layout_name, laid_out in (("flat", flat), ("ip_adapter", like_ip_adapter)):
        parts = pulid_files.split(laid_out(meta_like(ENCODERS[version]), meta_like(shapes)), version, "a file")
        network = unet("sdxl")
        made = layout.hang_branches(network, parts.branches, "a file")
        encoder = pulid_files.encoder(parts, version, "a file")
        layout.check_token_width(made, encoder.token_width, None, "a file")
        assert isinstance(encoder, IdEncoder if version == "v1" else IdFormer)
        assert {name: tuple(one.shape) for name, one in encoder.state_dict().items()} == ENCODERS[version]
        hung[layout_name] = [(branch.k.weight.shape, branch.heads) for branch in made]
    assert len(hung["flat"]) == 70
    assert hung["flat"] == hung["ip_adapter"]


@versions
def test_files_of_all_three_kinds_give_the_same_tensors(version, tmp_path):
    encoder, tables = random_like(SMALL[version]), branches()
    torch.save(flat(encoder, tables), tmp_path / "flat.bin")
    save_file(flat(encoder, tables), tmp_path / "flat.safetensors")
    save_file(like_ip_adapter(encoder, tables), tmp_path / "ip-adapter.safetensors")
    for path in tmp_path.iterdir():
        parts = pulid_files.read(path, version)
        assert parts.projection.keys() == encoder.keys()
        assert all(torch.equal(parts.projection[name], one) for name, one in encoder.items())
        assert parts.branches.keys() == {f"{n}.to_{x}_ip.weight" for n in (1, 3) for x in "kv"}
        assert all(torch.equal(parts.branches[f"{n}.to_{x}_ip.weight"], one) for (n, x), one in tables.items())
        assert parts.lora == {}
        assert pulid_files.encoder(parts, version, path.name).token_width == 4


def refused(weights, version, match):
    with pytest.raises(RunError, match=match) as caught:
        pulid_files.split(weights, version, "a file")
    assert caught.value.exit_code == Exit.USAGE
    assert caught.value.message.startswith("a file is ")


@pytest.mark.parametrize("laid_out", [flat, like_ip_adapter])
def test_a_file_of_the_other_version_is_refused_and_says_which_it_is(laid_out):
    refused(
        laid_out(random_like(SMALL["v1"]), branches()),
        "v1.1",
        r"PuLID v1, but the recipe asks for v1\.1: .*pulid_v1\.1\.safetensors",
    )
    refused(laid_out(random_like(SMALL["v1.1"]), branches()), "v1", r"PuLID v1\.1, but .* asks for v1: .*pulid_v1\.bin")


@versions
@pytest.mark.parametrize(
    ("names", "looks"),
    [
        (["pulid_encoder.latents", "pulid_ca.0.norm1.weight"], "looks like PuLID for FLUX"),
        (["visual.cls_token", "logit_scale"], "looks like the EVA02-CLIP"),
        (["controlnet_cond_embedding.conv_in.weight"], "looks like a ControlNet"),
        (["image_proj.latents", "image_proj.proj_in.weight", "ip_adapter.1.to_k_ip.weight"], "InstantID"),
        (["image_proj.proj.weight", "ip_adapter.1.to_k_ip.weight"], "looks like an IP-Adapter$"),
        (["image_proj.proj.0.weight", "image_proj.perceiver_resampler.proj_in.weight"], "FaceID-Plus"),
        (["something.weight"], "'something.weight' does not belong"),
        ([], "neither of"),
    ],
)
def test_other_files_are_refused_with_what_they_look_like(version, names, looks):
    refused({name: torch.zeros(1) for name in names}, version, looks)


@versions
def test_a_file_that_mixes_layouts_is_refused(version):
    encoder = random_like(SMALL[version])
    mixed = flat(encoder, {}) | like_ip_adapter({}, branches())
    refused(mixed, version, "two names for the same weights")


def test_strange_names_among_the_branches_are_refused_where_they_are_hung():
    weights = flat(random_like(SMALL["v1"]), branches())
    weights["id_adapter_attn_layers.1.to_k_ip.weight"] = torch.zeros(6, 4)  # the other layout's name
    parts = pulid_files.split(weights, "v1", "a file")
    with pytest.raises(RunError, match=r"unknown .*flat 1\.to_k_ip"):
        layout.hang_branches(unet("sdxl"), parts.branches, "a file")


@versions
def test_a_file_with_a_hole_is_refused_by_the_names_of_what_is_missing(version):
    encoder = random_like(SMALL[version])
    del encoder["mapping_2.3.bias"]
    parts = pulid_files.split(flat(encoder, branches()), version, "a file")
    with pytest.raises(RunError, match=r"a file: .*mapping_2\.3\.bias"):
        pulid_files.encoder(parts, version, "a file")
