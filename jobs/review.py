"""`python jobs/review.py …` is `idgen review …`: idgen/cli.py."""

import sys

from idgen.cli import run_job

if __name__ == "__main__":
    sys.exit(run_job("review"))
