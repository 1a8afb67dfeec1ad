"""Make pictures again that the ledger counts as done: by status, code, missing image, or a file of keys.

    python jobs/rerun.py my.yaml rerun.code=[reference_missing]
    python jobs/rerun.py my.yaml rerun.missing=true
    python jobs/rerun.py my.yaml rerun.status=[ok] select.file=keys.txt

The same as generate with a filter: the manifest stays the same, and so do all keys.
"""

import sys

from idgen.command import main
from idgen.driver.run import rerun_job

if __name__ == "__main__":
    sys.exit(main(__doc__, rerun_job))
