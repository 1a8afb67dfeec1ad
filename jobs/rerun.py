"""`python jobs/rerun.py …` is `idgen rerun …`: idgen/cli.py."""

import sys

from idgen.cli import run_job

if __name__ == "__main__":
    sys.exit(run_job("rerun"))
