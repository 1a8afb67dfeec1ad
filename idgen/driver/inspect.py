"""The jobs that only look: status, verify. None of them starts Ray; `report` is in report.py."""

import pyarrow.compute as pc

from idgen.config import Config
from idgen.errors import Exit, RunError
from idgen.outputs.ledger import ledger_files
from idgen.outputs.verify import verify
from idgen.report.status import format_runs, format_status, list_runs, run_status
from idgen.reviews.decisions import REJECTED, newest_decisions
from idgen.stores.opening import open_store
from idgen.stores.protocol import ObjectStore


def status_job(config: Config) -> int:
    """Print one run's state, or the newest runs'; return OK."""
    store = catalogue(config)
    print(format_status(run_status(store, config.run.id)) if config.run.id else format_runs(list_runs(store)))
    return Exit.OK


def verify_job(config: Config) -> int:
    """Compare ledger and images; return TOO_MANY_FAILED when an image is missing or damaged."""
    store = catalogue(config)
    if not ledger_files(store):
        raise RunError(Exit.USAGE, f"no catalogue at {config.output}: it has no ledger")
    decisions = newest_decisions(store)
    rejected = decisions.filter(pc.equal(decisions["decision"], REJECTED))
    found = verify(store, hashes=config.verify.hashes, rejected=rejected)
    print(found.text())
    return Exit.OK if found.sound else Exit.TOO_MANY_FAILED


def catalogue(config: Config) -> ObjectStore:
    """Open the output that the configuration names; RunError(USAGE) without one."""
    if not config.output:
        raise RunError(Exit.USAGE, "say which catalogue: output=<folder or s3://bucket/prefix>")
    return open_store(config.output)
