"""Float32 copies that are made and freed one by one leave no holes in the host's memory."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys, torch
from idgen.full_size.memory import Memory
from idgen.networks.stored import StoredLinear
from idgen.sampling.memory import loading

def work():
    linear = StoredLinear(2048, 1280, bias=False).half()  # 10.5 MB in float32, as SDXL's branches
    return [linear(torch.ones(2, 16, 2048)) for _ in range(60)]  # each keeps a little, as bound keys and values do

with torch.inference_mode():
    kept = [work()]
    if sys.argv[1] == "loading":
        with loading("weights", "cpu"):
            pass
    before = Memory.of().private
    kept.append(work())
    print(Memory.of().private - before)
"""


def growth_bytes(how: str) -> int:
    """What stays of 60 copies of 10.5 MB, in a process of its own: the C library's habits are the process's."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, how], stdout=subprocess.PIPE, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_copies_of_weights_leave_no_holes_once_something_was_loaded():
    assert growth_bytes("loading") < 60e6
    assert growth_bytes("nothing") > 200e6, "glibc keeps them by itself: else this test cannot fail"
