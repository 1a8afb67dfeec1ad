"""One run from configuration to summary: plan -> line -> finish. The jobs generate, rerun and plan are its variants."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from idgen.config import Config
from idgen.driver import finish
from idgen.driver.setup import Run, open_run
from idgen.driver.watch import StopRequest
from idgen.errors import Exit, RunError
from idgen.manifest.judging import Force
from idgen.manifest.planner import PlanSummary
from idgen.manifest.planner import plan as plan_run
from idgen.outputs.compaction import compact
from idgen.outputs.lease import Lease
from idgen.outputs.ledger import ledger_files
from idgen.outputs.run_log import run_log
from idgen.sampling import scheduler_names


def generate_job(config: Config) -> int:
    """Make what the manifest asks for and the catalogue lacks; return the exit code."""
    with _opened(config) as run:
        return _make(run, None)


def rerun_job(config: Config) -> int:
    """Make pictures again although the ledger has them; return the exit code."""
    rerun = config.rerun
    if not (rerun.status or rerun.code or rerun.missing or config.select.file):
        raise RunError(Exit.USAGE, "say what to make again: rerun.status, rerun.code, rerun.missing or select.file")
    with _opened(config) as run:
        keys_file = "" if rerun.status or rerun.code else config.select.file
        if rerun.missing:
            from idgen.outputs.verify import verify

            keys_file = str(run.scratch / "missing.txt")
            Path(keys_file).write_text("\n".join(verify(run.store, hashes=False).missing_keys) + "\n")
        return _make(run, Force(statuses=rerun.status, codes=rerun.code, keys_file=keys_file))


def plan_job(config: Config) -> int:
    """Plan and say what generate would do; writes only the run's plan folder; return OK."""
    with _opened(config) as run:
        plan = _plan(run, None)
        finish.print_plan(run, plan)
        return Exit.OK


@contextmanager
def _opened(config: Config) -> Iterator[Run]:
    scratch = Path(tempfile.mkdtemp(prefix="idgen-"))
    try:
        yield open_run(config, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _make(run: Run, force: Force | None) -> int:
    stop = StopRequest()
    with Lease(run.store, run.id) as lease, run_log(run.folder, "driver"):
        compact(run.store, run.id)
        finish.write_config(run)
        plan = _plan(run, force)
        finish.print_plan(run, plan)
        finish.check_licences(run, plan)
        finish.record_refusals(run, plan)
        if not plan.to_make:
            return finish.finish(run, plan, None)
        from idgen.driver.line import run_line  # starts Ray's import: not for a run that has nothing to do

        return finish.finish(run, plan, run_line(run, plan, lease, stop))


def _plan(run: Run, force: Force | None) -> PlanSummary:
    return plan_run(
        run.config.manifest,
        run.recipes,
        run.hashes,
        run.config,
        run.store,
        run.id,
        ledger_files=ledger_files(run.store),
        schedulers=scheduler_names.SCHEDULERS,
        scratch=run.scratch,
        force=force,
    )
