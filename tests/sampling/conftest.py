"""A loaded tiny sampler for the whole room."""

import pytest
import torch
from doubles.tiny_recipe import TINY

from idgen.sampling.sampler import Sampler


@pytest.fixture(scope="session")
def sampler():
    """Tests that count compare before and after; none changes weights."""
    torch.set_num_threads(1)  # two threads on two shared cores wait for each other
    return Sampler.load(TINY, lora_scale=0.7, device="cpu")
