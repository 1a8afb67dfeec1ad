"""Faults inside real Ray workers, without a hook in the product: Ray runs `install` when a worker process starts.

Wraps `SampleRow.from_picture`, which the sampling actor calls for each row inside an attempt (and which needs no
torch). What to do stands in the environment as JSON under IDGEN_TEST_FAULTS:

    log         file to which each attempted key is appended, one a line
    die_on      prompts that end the process at once, like a segfault
    die_once    {"file": path, "after": n, "batch_size": b}: the first process to attempt its n-th row dies; the file
                remembers, and processes that start later take batches of b rows
    sleep_s     slows every row
    die_on_size a photo of that many bytes ends the process that decodes it
"""

import json
import os
import time
from pathlib import Path

ENVIRONMENT = "IDGEN_TEST_FAULTS"
_attempts = 0


def install() -> None:
    """Wrap what the sampling actor calls per row."""
    faults = json.loads(os.environ.get(ENVIRONMENT, "{}"))
    if not faults:
        return
    from idgen.sampling import batches
    from idgen.sampling.rows import SampleRow

    once = faults.get("die_once", {})
    if "batch_size" in once and Path(once["file"]).exists():
        batches.BatchSize.rows = lambda self, bucket: min(self._rows, once["batch_size"])

    _wrap_decoder(faults.get("die_on_size"))
    original = SampleRow.from_picture.__func__

    def from_picture(cls, picture):
        _act(faults, picture)
        return original(cls, picture)

    SampleRow.from_picture = classmethod(from_picture)


def _wrap_decoder(fatal_size):
    if fatal_size is None:
        return
    from idgen.faces import looking

    original = looking.decode

    def decode(data, *rest):
        if len(data) == fatal_size:
            os._exit(139)
        return original(data, *rest)

    looking.decode = decode


def _act(faults, picture):
    global _attempts
    _attempts += 1
    if "log" in faults:
        with open(faults["log"], "a", encoding="utf-8") as file:
            file.write(f"{picture['key']}\n")
    if picture["prompt"] in faults.get("die_on", ()):
        os._exit(139)
    once = faults.get("die_once")
    if once and _attempts >= once["after"] and not Path(once["file"]).exists():
        Path(once["file"]).touch()
        os._exit(137)
    time.sleep(faults.get("sleep_s", 0))
