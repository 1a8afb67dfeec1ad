"""`python -m doubles.driver words…`: jobs/generate.py on a local cluster whose workers have test faults."""

import os
import sys

import ray
from doubles.worker_faults import ENVIRONMENT

from idgen.command import main
from idgen.driver.run import generate_job

if __name__ == "__main__":
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=128 * 2**20,
        log_to_driver=False,
        runtime_env={
            "env_vars": {ENVIRONMENT: os.environ.get(ENVIRONMENT, "{}")},
            "worker_process_setup_hook": "doubles.worker_faults.install",
        },
    )
    sys.exit(main("", generate_job))
