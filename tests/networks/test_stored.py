"""Weights stay as small as they are stored, and nothing comes out differently."""

import torch
from doubles.tiny_recipe import recipe
from torch import nn

from idgen.networks.stored import StoredLinear
from idgen.sampling.sampler import Sampler


def test_half_weights_compute_as_their_float32_copies_do_bit_for_bit():
    stored, copy = StoredLinear(32, 8), nn.Linear(32, 8)
    half = torch.randn(8, 32).half()
    stored.load_state_dict({"weight": half, "bias": copy.bias}, assign=True)
    copy.weight.data = half.float()
    seen = torch.randn(5, 32)
    assert stored.weight.dtype == torch.float16
    assert torch.equal(stored(seen), copy(seen))


def test_a_loaded_adapter_takes_no_more_room_than_its_file():
    adapter = Sampler.load(recipe("faceid_plusv2_sd15"), lora_scale=1.0, device="cpu").adapters[0]
    matrices = [part.weight for part in adapter.projection.modules() if isinstance(part, StoredLinear)]
    matrices += [part.weight for branch in adapter.branches for part in (branch.k, branch.v)]
    assert len(matrices) > 40
    assert {matrix.dtype for matrix in matrices} == {torch.float16}
