"""The jobs that only look: status, verify, report. None of them starts Ray."""

import os

from idgen.config import Config
from idgen.errors import Exit, RunError
from idgen.outputs.ledger import ledger_files
from idgen.outputs.verify import verify
from idgen.report.gallery import write_report
from idgen.report.status import format_runs, format_status, list_runs, run_ids, run_status
from idgen.report.thumbnails import PhotoReader
from idgen.stores.opening import open_store
from idgen.stores.protocol import ObjectStore


def status_job(config: Config) -> int:
    """Print one run's state, or the newest runs'; return OK."""
    store = _store(config)
    print(format_status(run_status(store, config.run.id)) if config.run.id else format_runs(list_runs(store)))
    return Exit.OK


def verify_job(config: Config) -> int:
    """Compare ledger and images; return TOO_MANY_FAILED when an image is missing or damaged."""
    store = _store(config)
    if not ledger_files(store):
        raise RunError(Exit.USAGE, f"no catalogue at {config.output}: it has no ledger")
    found = verify(store, hashes=config.verify.hashes)
    print(found.text())
    return Exit.OK if found.sound else Exit.TOO_MANY_FAILED


def report_job(config: Config) -> int:
    """Make the gallery of a run (default: the newest) and print where it is."""
    store = _store(config)
    ids = [config.run.id] if config.run.id else run_ids(store)
    run_id = next((run_id for run_id in ids if store.head(f"runs/{run_id}/results.parquet")), "")
    if not run_id:
        raise RunError(Exit.USAGE, f"no run in {config.output} has results; runs there: {', '.join(ids[:5]) or 'none'}")
    roots = [os.path.dirname(config.manifest)] if config.manifest else []
    path = write_report(store, run_id, config.report, notes=config.notes, references=PhotoReader(config.sources, roots))
    print(f"gallery: {store.uri(path)}")
    return Exit.OK


def _store(config: Config) -> ObjectStore:
    if not config.output:
        raise RunError(Exit.USAGE, "say which catalogue: output=<folder or s3://bucket/prefix>")
    return open_store(config.output)
