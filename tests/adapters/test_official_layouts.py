"""At full size, without the bytes: the published layouts are what our modules hold, and they load strictly."""

import re
from math import prod

import numpy as np
import pytest
import torch
from adapters.official import ATTENTION_WIDTHS, ENCODERS, FILES, Official, unet
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from idgen.adapters.ip_adapter import IpAdapter
from idgen.adapters.protocol import Person
from idgen.adapters.variants import picture_need
from idgen.errors import RunError
from idgen.networks.attention import layer
from idgen.networks.image_encoder import ImageEncoder
from idgen.recipes import AdapterSpec

ATTENTIONS = {"sd15": 32, "sdxl": 140}


def encoder(name: str) -> ImageEncoder | None:
    """The published encoder on the meta device."""
    if not name:
        return None
    with torch.device("meta"):
        config = CLIPVisionConfig(image_size=224, patch_size=14, hidden_act="gelu", **ENCODERS[name])
        return ImageEncoder(CLIPVisionModelWithProjection(config))


def load(official: Official, network) -> IpAdapter:
    """The adapter of a published file, on the meta device, through the product's own loader."""
    spec = AdapterSpec(name="a", kind=official.kind, image_encoder=official.encoder)
    adapter = IpAdapter(spec, encoder=encoder(official.encoder))
    adapter.fit(network, official.on_meta(), official.file)
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
    assert {tensor.dtype for tensor in adapter.projection.state_dict().values()} == {torch.float32}


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
    crops = {} if need is None else {need.name: np.zeros((2, 224, 224, 3), np.uint8)}
    (tokens,) = adapter.encode([Person(np.zeros((2, 512), np.float32), crops)], {})
    width = {"sd15": 768, "sdxl": 2048}[official.family]
    assert tokens.cond.shape == tokens.uncond.shape == (2, official.tokens, width)


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
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
            IpAdapter(spec, encoder=encoder("vit_h")).fit(unet("sd15"), weights, official.file)
