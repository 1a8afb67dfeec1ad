"""Bytes are counted where they are: shared ones once, a file's pages apart from a process's own."""

import subprocess
import sys

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from idgen.full_size.memory import Watch, held, is_mapped

MB = 10**6


def test_shared_weights_count_once_and_mapped_ones_apart(tmp_path):
    save_file({"weight": torch.ones(1000, 1000), "bias": torch.ones(1000)}, tmp_path / "a.safetensors")
    mapped, own = nn.Linear(1000, 1000, device="meta"), nn.Linear(1000, 1000)
    mapped.load_state_dict(load_file(tmp_path / "a.safetensors"), assign=True)
    found = held([mapped, own, own, nn.Sequential(own)])
    assert (found.weights, found.mapped) == (2 * 4_004_000, 4_004_000)
    assert is_mapped(mapped.weight)
    assert not is_mapped(own.weight)


PEAK = """
import os, torch
from idgen.full_size.memory import Memory, Watch
before = Memory.of().private
with Watch(lambda: [("self", os.getpid())]) as watch:
    for _ in range(20):
        big = torch.ones(50_000_000)
        del big
print(watch.most_private["self"] - before, Memory.of().private - before)
print(watch.most["self"] - watch.most_private["self"])
"""


def test_a_peak_that_is_gone_again_was_seen():
    # In a process of its own: what other tests have freed could be filled again and then stay.
    ran = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True, check=True)
    most, left, total = map(int, ran.stdout.split())
    assert most > 150 * MB
    assert left < 100 * MB
    assert total >= 0


def test_a_process_that_has_ended_is_no_error():
    with Watch(lambda: [("gone", 2**22 + 1)]) as watch:
        torch.ones(MB).sum()
    assert watch.most_private == {}
