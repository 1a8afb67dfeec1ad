"""The jobs that only look: status, verify. None of them starts Ray; `report` is in report.py."""

from idgen.config import Config
from idgen.errors import Exit, RunError
from idgen.outputs.ledger import ledger_files
from idgen.outputs.verify import verify
from idgen.report.status import format_runs, format_status, list_runs, run_status
from idgen.scratch import abandoned_folders
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
    found = verify(store, hashes=config.verify.hashes)
    print(found.text())
    if left := abandoned_folders():
        print(f"  temporary folders of runs that died on this machine: {len(left)}; the next run removes them")
    return Exit.OK if found.sound else Exit.TOO_MANY_FAILED


def catalogue(config: Config) -> ObjectStore:
    """Open the output that the configuration names; RunError(USAGE) without one."""
    if not config.output:
        raise RunError(Exit.USAGE, "say which catalogue: output=<folder or s3://bucket/prefix>")
    return open_store(config.output)
