"""`python -m doubles.crash_points <module>:<name> before|after <job> words…`: a job that is killed at one step.

SIGKILL, as the kernel sends it: nothing is cleaned, nothing is flushed, no lock is given back by the program.
"""

import os
import signal
import sys
from functools import reduce
from importlib import import_module

from idgen.cli import run_job


def die_at(point, when):
    """Have this process killed before or after the first call of `module:function` or `module:Class.method`."""
    module, _, path = point.partition(":")
    *owners, name = path.split(".")
    owner = reduce(getattr, owners, import_module(module))
    step = getattr(owner, name)

    def killed(*arguments, **options):
        if when == "after":
            step(*arguments, **options)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, killed)


if __name__ == "__main__":
    die_at(*sys.argv[1:3])
    sys.exit(run_job(sys.argv[3], sys.argv[4:]))
