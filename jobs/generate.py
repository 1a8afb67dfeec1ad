"""Make the pictures that a manifest asks for and that the catalogue does not have yet.

    python jobs/generate.py configs/demo.yaml
    python jobs/generate.py my.yaml manifest=s3://shop/manifest.parquet output=s3://shop/catalogue select.limit=16
    python jobs/generate.py configs/demo.yaml reference=face.png prompt="studio portrait"
    ray job submit --working-dir . -- python jobs/generate.py my.yaml

Run it again after a crash or a stop: it goes on where the ledger ends. Nothing to do = exit 0 within seconds.
"""

import sys

from idgen.command import main
from idgen.driver.run import generate_job

if __name__ == "__main__":
    sys.exit(main(__doc__, generate_job))
