"""The jobs that only look: status, verify. None of them starts Ray; `report` is in report.py."""

import pyarrow.compute as pc

from idgen.config import Config
from idgen.errors import Exit, RunError
from idgen.outputs.lease import Lease
from idgen.outputs.ledger import LedgerUnreadableError, ledger_files
from idgen.outputs.ledger_damage import DAMAGED_DIR, DamagedFile, damaged_files, set_aside
from idgen.outputs.verify import verify
from idgen.report.status import format_runs, format_status, list_runs, run_status
from idgen.reviews.decisions import REJECTED, newest_decisions
from idgen.scratch import abandoned_folders
from idgen.stores.opening import open_store
from idgen.stores.protocol import ObjectStore


def status_job(config: Config) -> int:
    """Print one run's state, or the newest runs'; return OK."""
    store = catalogue(config)
    print(format_status(run_status(store, config.run.id)) if config.run.id else format_runs(list_runs(store)))
    return Exit.OK


def verify_job(config: Config) -> int:
    """Compare ledger and images; return TOO_MANY_FAILED when an image is missing or damaged, or a ledger file was."""
    store = catalogue(config)
    if not ledger_files(store):
        raise RunError(Exit.USAGE, f"no catalogue at {config.output}: it has no ledger")
    decisions = newest_decisions(store)
    rejected = decisions.filter(pc.equal(decisions["decision"], REJECTED))
    damaged = _mended(store) if config.verify.hashes else []
    try:
        found = verify(store, hashes=config.verify.hashes, rejected=rejected)
    except LedgerUnreadableError:
        damaged = _mended(store)
        if not damaged:
            raise
        found = verify(store, hashes=config.verify.hashes, rejected=rejected)
    print(found.text())
    if left := abandoned_folders():
        print(f"  temporary folders of runs that died on this machine: {len(left)}; the next run removes them")
    return Exit.OK if found.sound and not damaged else Exit.TOO_MANY_FAILED


def _mended(store: ObjectStore) -> list[DamagedFile]:
    """Set aside the ledger files that are damaged, say which, and return them. Raises RunError while a run writes."""
    damaged = damaged_files(store)
    for file in damaged:
        print(f"damaged: {file.text()}")
    if damaged:
        with Lease(store, "verify"):
            set_aside(store, damaged)
        print(f"set aside in {store.uri(DAMAGED_DIR.rstrip('/'))}; the next run makes their pictures again")
    return damaged


def catalogue(config: Config) -> ObjectStore:
    """Open the output that the configuration names; RunError(USAGE) without one."""
    if not config.output:
        raise RunError(Exit.USAGE, "say which catalogue: output=<folder or s3://bucket/prefix>")
    return open_store(config.output)
