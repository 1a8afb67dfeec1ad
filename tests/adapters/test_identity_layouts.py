"""InstantID, PuLID and EcomID at full size, without the bytes, and PuLID's settings."""

from dataclasses import replace
from math import prod

import pytest
import torch
from adapters.official import Official, perceiver, unet
from doubles.tiny_recipe import adapter as spec_of
from networks.test_pulid import v1, v1_1

from idgen.adapters import pulid_files
from idgen.adapters.face_encoder import FaceEncoder
from idgen.adapters.instantid import InstantId
from idgen.adapters.pulid import Pulid
from idgen.networks.eva_clip import EvaConfig, EvaTower
from idgen.networks.face_parser import FaceParser
from idgen.sampling.families.cross_attention import host_of

INSTANTID = Official("ip-adapter.bin", "instantid", "sdxl", "", 16, 0, 51, 140)
BRANCHES = INSTANTID.adapter()
RESAMPLER = {"latents": (1, 16, 1280), **perceiver(512, 1280, 2048)}
ENCODERS = {
    "pulid_v1": v1(1280, 1024, 1024, 2048),
    "pulid_v1_1": v1_1(1280, 1024, 1024, 1024, 2048, 32),
    "ecomid": v1(1280, 1024, 1024, 2048),
}
"""Kind -> the published encoder."""


def on_meta(**tables):
    return {
        f"{table}.{key}": torch.empty(shape, dtype=torch.float16, device="meta")
        for table, shapes in tables.items()
        for key, shape in shapes.items()
    }


def full_size_eye() -> FaceEncoder:
    """EVA02-CLIP-L and the parser as they are made, without weights."""
    with torch.device("meta"):
        return FaceEncoder(EvaTower(EvaConfig()), FaceParser())


def test_instantids_published_file_is_read_strictly_and_has_so_many_bytes():
    weights = on_meta(image_proj=RESAMPLER, ip_adapter=BRANCHES)
    assert (len(RESAMPLER), len(BRANCHES)) == (51, 140)
    assert 4 * sum(tensor.numel() for tensor in weights.values()) == 1_691_063_296
    adapter = InstantId(spec_of("instantid"))
    adapter.fit(host_of(unet("sdxl")), weights, "ip-adapter.bin")
    assert {key: tuple(tensor.shape) for key, tensor in adapter.resampler.state_dict().items()} == RESAMPLER
    assert sum(tensor.numel() for tensor in adapter.resampler.parameters()) == 81_978_624
    assert sum(tensor.numel() for tensor in adapter.branches.parameters()) == 340_787_200


@pytest.mark.parametrize("kind", ENCODERS)
def test_pulids_published_files_go_with_the_published_tower_and_ecomids_context_is_the_resampler_alone(kind):
    adapter = Pulid(spec_of(kind), eye=full_size_eye())
    weights = on_meta(image_proj=ENCODERS[kind], ip_adapter=BRANCHES)
    adapter.fit(host_of(unet("sdxl")), pulid_files.split(weights, adapter.settings.version, "a file"), "a file")
    assert {key: tuple(tensor.shape) for key, tensor in adapter.encoder.state_dict().items()} == ENCODERS[kind]
    assert [branch.k.weight.shape for branch in adapter.branches] == [
        shape for key, shape in BRANCHES.items() if key.endswith("to_k_ip.weight")
    ]
    if adapter.gives_context:
        adapter.fit_context(on_meta(image_proj=RESAMPLER, ip_adapter=BRANCHES), "ip-adapter.bin")
        count = sum(prod(shape) for shape in RESAMPLER.values())
        assert sum(tensor.numel() for tensor in adapter.resampler.parameters()) == count


@pytest.mark.parametrize(
    ("kind", "said", "expected"),
    [
        ("pulid_v1", {}, ("v1", "ortho_v2", "query", False, "first", 8)),
        ("pulid_v1", {"combine": "ortho"}, ("v1", "ortho", "query", False, "first", 16)),
        ("pulid_v1", {"combine": "add"}, ("v1", "add", "query", False, "first", 0)),
        ("pulid_v1", {"num_zero": 0, "antialias": True}, ("v1", "ortho_v2", "query", True, "first", 0)),
        ("pulid_v1_1", {}, ("v1.1", "ortho_v2", "query", False, None, 20)),
        ("pulid_v1_1", {"combine": "ortho"}, ("v1.1", "ortho", "query", False, None, 20)),
        ("ecomid", {}, ("v1", "ortho_v2", "global", True, "mean", 8)),
        ("ecomid", {"combine": "ortho"}, ("v1", "ortho", "global", True, "mean", 16)),
        (
            "ecomid",
            {"attn_mean": "query", "antialias": False, "references": "all", "num_zero": 5},
            ("v1", "ortho_v2", "query", False, "all", 5),
        ),
    ],
)
def test_settings_are_the_authors_but_for_what_the_recipe_says(kind, said, expected):
    made = Pulid(replace(spec_of(kind), **said)).settings
    found = (made.version, made.combine, made.attn_mean, made.antialias, made.references, made.zeros)
    assert found == expected
