"""Compare the whole job with its own sampler in a plain loop, in one run on one machine.

    python jobs/benchmark.py configs/demo.yaml
    python jobs/benchmark.py my.yaml manifest=… output=… benchmark.pictures=256

    python jobs/benchmark.py benchmark.device=cuda benchmark.size=full benchmark.json=figures.json

Raises the steps until a picture takes 200 ms, runs the bare sampler over the manifest's pictures, then the job (faces,
sampling, encoding, writing, ledger), then the bare sampler again, and prints both rates, start-up excluded.

With benchmark.device it is the whole script instead, on random weights that it brings along: does every recipe work in
half precision (door), are the tensors the originals' (correctness), how fast is a plain diffusers loop, our sampler,
our sampler compiled (speed), the job against its sampler (job), the tests that need a GPU (gpu_tests). A block that
fails costs only itself; exit 3 says that one did.
"""

import sys

from idgen.command import main
from idgen.driver.benchmark import benchmark_job

if __name__ == "__main__":
    sys.exit(main(__doc__, benchmark_job))
