"""LoRAs are merged in float32 and a layer is cast once, as soon as nothing more is to be merged into it."""

import pytest
import torch
from adapters.loading import path_of
from diffusers import UNet2DConditionModel
from doubles.tiny_recipe import adapter as spec_of

from idgen.adapters import table
from idgen.full_size.memory import is_mapped
from idgen.sampling.families.cross_attention import host_of
from idgen.tiny import world

HALF = torch.float16


def stored_unet():
    """The tiny base's UNet in the precision it is stored in."""
    return UNet2DConditionModel.from_pretrained(world.locate("sd15") / "unet", dtype=HALF)


def merged(names, dtype, scale=0.7):
    """The UNet's weights after the adapters `names` were loaded, as the sampler has them loaded."""
    unet = stored_unet()
    specs = [spec_of(name) for name in names]
    for adapter, spec in zip(table.make_all(specs, scale, dtype), specs, strict=True):
        adapter.load(host_of(unet), [path_of(spec)])
    return {name: one for name, one in unet.state_dict().items() if ".branches." not in name}


@pytest.mark.parametrize(
    "names", [["faceid"], ["ip_adapter", "faceid"], ["faceid", "faceid"], ["faceid", "ip_adapter"]]
)
def test_no_layer_stays_in_float32_when_all_is_merged_and_the_bits_are_those_of_one_cast_at_the_end(names):
    at_once, at_the_end = merged(names, HALF), merged(names, torch.float32)
    assert {one.dtype for one in at_once.values()} == {HALF}
    changed = {name for name, one in at_the_end.items() if one.dtype == torch.float32}
    assert len(changed) == 4 * 32
    assert all(torch.equal(one, at_the_end[name].to(HALF)) for name, one in at_once.items())


def test_two_loras_are_added_up_before_the_cast():
    """Casting between them gives other bits: the test can fail."""
    spec = spec_of("faceid")
    unet = stored_unet()
    for _ in range(2):  # each as if it were the last
        (adapter,) = table.make_all([spec], 0.7, HALF)
        adapter.load(host_of(unet), [path_of(spec)])
    twice_cast = unet.state_dict()
    assert any(not torch.equal(one, twice_cast[name]) for name, one in merged(["faceid", "faceid"], HALF).items())


@pytest.mark.parametrize("kind", ["faceid", "ip_adapter_plus", "instantid"])
def test_an_adapters_matrices_are_pages_of_its_file_be_it_a_pickle_or_not(kind):
    spec = spec_of(kind)
    unet = UNet2DConditionModel.from_pretrained(world.locate("sdxl" if kind == "instantid" else "sd15") / "unet")
    (adapter,) = table.make_all([spec], 1.0, torch.float32)
    adapter.load(host_of(unet), [path_of(spec)])
    assert all(is_mapped(part.weight) for branch in adapter.branches for part in (branch.k, branch.v))
