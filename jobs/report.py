"""Make the gallery of a finished run again: runs/<run_id>/report/index.html.

    python jobs/report.py configs/demo.yaml run.id=20261121-020000-a1b2

Without run.id the newest run is taken.
"""

import sys

from idgen.command import main
from idgen.driver.inspect import report_job

if __name__ == "__main__":
    sys.exit(main(__doc__, report_job))
