"""Compare the whole job with its own sampler in a plain loop, in one run on one machine.

    python jobs/benchmark.py configs/demo.yaml
    python jobs/benchmark.py my.yaml manifest=… output=… benchmark.pictures=256

Raises the steps until a picture takes 200 ms, runs the bare sampler over the manifest's pictures, then the job (faces,
sampling, encoding, writing, ledger), then the bare sampler again, and prints both rates, start-up excluded.
"""

import sys

from idgen.command import main
from idgen.driver.benchmark import benchmark_job

if __name__ == "__main__":
    sys.exit(main(__doc__, benchmark_job))
