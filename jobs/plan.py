"""Say what generate would do: check every row, count, and estimate the time, without a GPU or Ray.

    python jobs/plan.py configs/demo.yaml

Writes runs/<run_id>/plan/summary.json and refused.csv into the output.
"""

import sys

from idgen.command import main
from idgen.driver.run import plan_job

if __name__ == "__main__":
    sys.exit(main(__doc__, plan_job))
