"""At full size, without the bytes: the published layouts are what our modules hold, and they load strictly."""

import re
from math import prod

import numpy as np
import pytest
import torch
from adapters.official import ATTENTION_WIDTHS, ENCODERS, FILES, PICTURE_PX, Official, unet
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from idgen.adapters.ip_adapter import IpAdapter
from idgen.adapters.protocol import Person
from idgen.errors import RunError
from idgen.networks.attention import layer
from idgen.networks.image_encoder import ImageEncoder
from idgen.recipes.recipe import AdapterSpec
from idgen.recipes.variants import picture_need
from idgen.sampling.families.cross_attention import host_of

ATTENTIONS = {"sd15": 32, "sdxl": 140, "kolors": 140}


def encoder(name: str) -> ImageEncoder | None:
    """The published encoder on the meta device."""
    if not name:
        return None
    with torch.device("meta"):
        config = CLIPVisionConfig(image_size=PICTURE_PX[name], patch_size=14, hidden_act="gelu", **ENCODERS[name])
        return ImageEncoder(CLIPVisionModelWithProjection(config))


def load(official: Official, network) -> IpAdapter:
    """The adapter of a published file, on the meta device, through the product's own loader."""
    spec = AdapterSpec(name="a", kind=official.kind, image_encoder=official.encoder)
    adapter = IpAdapter(spec, encoder=encoder(official.encoder))
    adapter.fit(host_of(network), official.on_meta(), official.file)
    adapter.to(torch.device("meta"))
    return adapter


@pytest.fixture(scope="module", params=FILES, ids=lambda one: one.file)
def loaded(request):
    network = unet(request.param.family)
    return request.param, load(request.param, network), network


def test_the_tables_are_as_big_as_the_published_files(loaded):
    official, _, _ = loaded
    tensors = official.on_meta()
    assert len(official.projection()) == official.projection_tensors
    assert len(official.adapter()) == official.adapter_tensors
    if official.megabytes:
        megabytes = 2 * sum(prod(tensor.shape) for tensor in tensors.values()) / 1e6
        assert megabytes == pytest.approx(official.megabytes, abs=0.6 if official.megabytes > 1000 else 0.15)


def test_the_projection_holds_exactly_the_published_tensors(loaded):
    official, adapter, _ = loaded
    ours = {key: tuple(tensor.shape) for key, tensor in adapter.projection.state_dict().items()}
    assert ours == official.projection()
    # matrices stay as small as they are stored: networks/stored.py
    assert {tensor.dtype for tensor in adapter.projection.state_dict().values() if tensor.dim() != 2} == {torch.float32}


def test_the_branches_hold_exactly_the_published_tensors_in_the_files_order(loaded):
    official, adapter, _ = loaded
    ours = {
        f"{2 * number + 1}.to_{part}_ip.weight": tuple(getattr(branch, part).weight.shape)
        for number, branch in enumerate(adapter.branches)
        for part in "kv"
    }
    assert ours == {key: shape for key, shape in official.adapter().items() if "_ip." in key}


def test_each_reference_becomes_the_published_number_of_tokens(loaded):
    official, adapter, _ = loaded
    need = picture_need(AdapterSpec(kind=official.kind))
    crops = {} if need is None else {need.name: np.zeros((2, need.size_px, need.size_px, 3), np.uint8)}
    (tokens,) = adapter.encode([Person(np.zeros((2, 512), np.float32), crops)], {})
    assert tokens.cond.shape == tokens.uncond.shape == (2, official.tokens, official.token_width)


@pytest.mark.parametrize("family", ATTENTIONS)
def test_the_order_of_attentions_in_files_is_the_order_in_the_unet(family):
    network = unet(family)
    names = list(network.attn_processors)
    assert len(names) == ATTENTIONS[family]
    assert [layer(network, name).inner_dim for name in names] == ATTENTION_WIDTHS[family]
    assert all((number % 2 == 1) == name.endswith("attn2.processor") for number, name in enumerate(names))


def test_any_wrong_shape_at_full_size_is_refused():
    official = next(one for one in FILES if one.file == "ip-adapter-faceid-plusv2_sd15")
    for key in (
        "image_proj.proj.2.weight",
        "image_proj.perceiver_resampler.layers.3.0.to_kv.weight",
        "ip_adapter.5.to_k_ip.weight",
    ):
        weights = official.on_meta()
        weights[key] = torch.empty([weights[key].shape[0] + 1, *weights[key].shape[1:]], device="meta")
        spec = AdapterSpec(name="a", kind=official.kind)
        with pytest.raises(RunError, match=re.escape(official.file)):
            IpAdapter(spec, encoder=encoder("vit_h")).fit(host_of(unet("sd15")), weights, official.file)


def test_the_published_kolors_faceid_plus_has_so_many_parameters_and_our_modules_have_all_of_them():
    """Counts of specs that were made from the authors' modules, not from the table above."""
    official = next(one for one in FILES if one.file == "ipa-faceid-plus")
    network = unet("kolors")
    adapter = load(official, network)
    ours = {key: tensor.numel() for key, tensor in adapter.projection.state_dict().items()}
    assert (len(ours), sum(ours.values())) == (56, 852_116_480)
    branches = [part.weight for branch in adapter.branches for part in (branch.k, branch.v)]
    assert (len(branches), sum(one.numel() for one in branches)) == (140, 340_787_200)
    assert sum(ours.values()) + sum(one.numel() for one in branches) == 1_192_903_680
    by_block = {"down_blocks.1": 640, "down_blocks.2": 1280, "up_blocks.0": 1280, "up_blocks.1": 640, "mid_block": 1280}
    names = [name for name in network.attn_processors if name.endswith("attn2.processor")]
    found = [(branch.k.out_features, branch.k.in_features) for branch in adapter.branches]
    assert found == [(next(w for block, w in by_block.items() if name.startswith(block)), 2048) for name in names]
    assert [2 * names.index(next(n for n in names if n.startswith(block))) + 1 for block in by_block] == [
        1, 9, 49, 109, 121
    ]  # fmt: skip


def test_the_published_kolors_plus_has_506_million_parameters_and_12_heads():
    official = next(one for one in FILES if one.file == "ip_adapter_plus_general")
    adapter = load(official, unet("kolors"))
    count = sum(tensor.numel() for tensor in adapter.projection.state_dict().values())
    count += sum(tensor.numel() for tensor in adapter.branches.state_dict().values())
    assert round(count / 1e6, 1) == 506.6
    assert adapter.projection.layers[0][0].to_q.out_features == 12 * 64


@pytest.mark.parametrize(
    ("key", "shape"),
    [
        ("image_proj.proj.2.weight", (16384, 1024)),
        ("image_proj.perceiver_resampler.proj_in.weight", (4096, 1280)),
        ("image_proj.perceiver_resampler.layers.3.0.to_kv.weight", (4096, 4096)),
        ("adapter_modules.121.to_v_ip.weight", (1280, 4096)),
    ],
)
def test_a_kolors_file_with_a_wrong_shape_is_refused(key, shape):
    official = next(one for one in FILES if one.file == "ipa-faceid-plus")
    weights = official.on_meta() | {key: torch.empty(shape, device="meta")}
    spec = AdapterSpec(name="a", kind=official.kind)
    with pytest.raises(RunError, match=re.escape(official.file)):
        IpAdapter(spec, encoder=encoder(official.encoder)).fit(host_of(unet("kolors")), weights, official.file)
