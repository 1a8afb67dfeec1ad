"""Large blocks of host memory that are free go back to the system, whatever small ones lie between them."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys, torch
from idgen.full_size.memory import Memory
from idgen.sampling.memory import loading

torch.ones(7 * 2**20)  # 29 MB that come and go: from now on glibc keeps what is smaller
if sys.argv[1] == "loading":
    with loading("weights", "cpu"):
        pass
before = Memory.of().private
large, small = [], []
for _ in range(20):
    large.append(torch.ones(1280, 2048))  # 10.5 MB, a matrix of SDXL's branches in float32
    small.append(torch.ones(16, 1280))  # what is made of it and stays
del large
print(Memory.of().private - before)
"""


def growth_bytes(how: str) -> int:
    """What stays of 20 blocks of 10.5 MB, in a process of its own: the C library's habits are the process's."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, how], stdout=subprocess.PIPE, text=True, check=True)
    return int(done.stdout)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_free_blocks_go_back_once_something_was_loaded_and_by_themselves_they_would_not():
    assert growth_bytes("loading") < 30e6
    assert growth_bytes("nothing") > 150e6
