"""Check that every picture the ledger calls ok is really there, and list images that nobody owns.

    python jobs/verify.py output=output/demo
    python jobs/verify.py output=output/demo verify.hashes=true

Exit 3 when something is missing; `rerun rerun.missing=true` makes it again.
"""

import sys

from idgen.command import main
from idgen.driver.inspect import verify_job

if __name__ == "__main__":
    sys.exit(main(__doc__, verify_job))
