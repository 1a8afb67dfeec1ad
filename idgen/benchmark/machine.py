"""What the script runs on: `python -m idgen.benchmark.machine <device>` prints it as JSON."""

import json
import os
import platform
import sys
import time
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version

import torch

from idgen.benchmark.figures import Machine

SIDE = 8192
TIMES = 10


def describe(device: str) -> Machine:
    """Return versions, and of a CUDA device what it is and how fast it multiplies matrices now."""
    made = Machine(
        python=platform.python_version(),
        torch=torch.__version__,
        cuda=torch.version.cuda,
        diffusers=_version("diffusers"),
        transformers=_version("transformers"),
        ray=_version("ray"),
        cpus=os.cpu_count(),
    )
    if device == "cuda":
        made.gpu = torch.cuda.get_device_name()
        made.gpu_memory_bytes = torch.cuda.get_device_properties(0).total_memory
        made.bfloat16_tflops = _tflops(device, SIDE)
    return made


def _tflops(device: str, side: int) -> float:
    one, other = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    for _ in range(3):
        one @ other
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(TIMES):
        one @ other
    torch.cuda.synchronize()
    return 2 * side**3 * TIMES / (time.perf_counter() - start) / 1e12


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(describe(sys.argv[1]))) + "\n")
