"""Show how a run stands, or the newest runs: reads only the run's folder, needs no Ray.

python jobs/status.py output=output/demo
python jobs/status.py output=s3://shop/catalogue run.id=20261121-020000-a1b2
"""

import sys

from idgen.command import main
from idgen.driver.inspect import status_job

if __name__ == "__main__":
    sys.exit(main(__doc__, status_job))
