"""`python -m doubles.driver words…`: jobs/generate.py on a cluster whose workers have test faults.

A local one, or the one that RAY_ADDRESS names.
"""

import os
import sys

import ray
from doubles.worker_faults import ENVIRONMENT

from idgen.command import main
from idgen.driver.run import generate_job

if __name__ == "__main__":
    address = os.environ.get("RAY_ADDRESS", "")
    local = {"num_cpus": 2, "include_dashboard": False, "object_store_memory": 128 * 2**20}
    ray.init(
        address=address or "local",
        **({} if address else local),
        log_to_driver=False,
        runtime_env={
            "env_vars": {ENVIRONMENT: os.environ.get(ENVIRONMENT, "{}")},
            "worker_process_setup_hook": "doubles.worker_faults.install",
        },
    )
    sys.exit(main("", generate_job))
