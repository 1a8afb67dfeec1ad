"""One run from configuration to summary: plan -> line -> finish. The jobs generate, rerun and plan are its variants."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from idgen.config import Config
from idgen.driver import finish
from idgen.driver.forcing import check_rerun, force_of
from idgen.driver.machine_errors import machine_errors
from idgen.driver.setup import Run, open_run
from idgen.driver.summary import write_config, write_failure
from idgen.driver.terminal import print_plan
from idgen.driver.watch import StopRequest
from idgen.errors import Exit, RunError
from idgen.manifest.planner import PlanSummary
from idgen.manifest.planner import plan as plan_run
from idgen.manifest.prompt_lengths import CountCut
from idgen.manifest.verdicts import Force
from idgen.outputs.compaction import compact
from idgen.outputs.lease import Lease
from idgen.outputs.ledger import ledger_files
from idgen.outputs.ledger_damage import damage_told
from idgen.outputs.leftovers import remove_leftovers
from idgen.outputs.run_log import run_log
from idgen.recipes.recipe import Recipe
from idgen.recipes.schedulers import SCHEDULERS
from idgen.scratch import remove_abandoned, scratch_folder
from idgen.sources.fetch import Fetcher
from idgen.sources.precheck import Precheck
from idgen.stores.local import LocalStore
from idgen.stores.protocol import ObjectStore, StoreError
from idgen.weights.token_counts import cut_counter

log = logging.getLogger(__name__)


def generate_job(config: Config) -> int:
    """Make what the manifest asks for and the catalogue lacks; return the exit code."""
    with _opened(config) as run:
        return _make(run, None)


def rerun_job(config: Config) -> int:
    """Make pictures again although the ledger has them; return the exit code."""
    check_rerun(config)
    with _opened(config) as run:
        return _make(run, force_of(run))


def plan_job(config: Config) -> int:
    """Plan and say what generate would do; leave only summary and refused.csv in the run's folder.

    Shards, which hold signed addresses, are never in the output, and what a run of this name has there stays. Return
    TOO_MANY_FAILED when the refusals alone are more than a run may have, else OK.
    """
    with _opened(config) as run:
        planned = LocalStore(run.scratch / "planned")
        with damage_told(run.store), machine_errors(config.planner.memory_mb):
            plan = _plan(run, None, StopRequest(), into=planned)
        has_begun = run.folder.has_begun()
        for name in () if has_begun else ("plan/summary.json", "plan/refused.csv"):
            run.store.put(run.folder.file(name), planned.get(run.folder.file(name)))
        print_plan(run, plan)
        if has_begun:
            print(f"run {run.id} has begun: its own plan stays in {run.store.uri(run.folder.file('plan'))}")
        finish.check_licences(run, plan)
        return finish.exit_of_plan(run, plan)


@contextmanager
def _opened(config: Config) -> Iterator[Run]:
    if removed := remove_abandoned():
        log.warning("temporary folders of runs that died were removed: %d", len(removed))
    with scratch_folder() as scratch:
        yield open_run(config, scratch)


def _make(run: Run, force: Force | None) -> int:
    stop = StopRequest()
    stop.listen()
    stop.end_after(run.config.run.deadline_s)
    with Lease(run.store, run.id) as lease, run_log(run.folder, "driver"):
        run.check_not_ended()
        try:
            with damage_told(run.store), machine_errors(run.config.planner.memory_mb):
                return _plan_line_finish(run, force, lease, stop)
        except (RunError, StoreError) as error:
            if not _is_anothers(lease):
                write_failure(run, error)
            raise
        finally:
            if not _is_anothers(lease):
                run.folder.delete_shards()


def _is_anothers(lease: Lease) -> bool:
    """Whether the run's folder is no longer ours: a driver of the same run.id took over while we hung."""
    try:
        return lease.is_taken_by_namesake()
    except StoreError:
        return True


def _plan_line_finish(run: Run, force: Force | None, lease: Lease, stop: StopRequest) -> int:
    if removed := remove_leftovers(run.store, run.id):
        log.warning("what runs that died left was removed: %d files, for example %s", len(removed), removed[0])
    compact(run.store, run.id)
    write_config(run)
    plan = _plan(run, force, stop)
    print_plan(run, plan)
    finish.check_licences(run, plan)
    stop.check()
    if not plan.to_make:
        return finish.finish(run, plan, None)
    from idgen.driver.line import run_line  # imports Ray: not for a run that has nothing to do

    work = run_line(run, plan, lease, stop)
    if _is_anothers(lease):
        raise RunError(work.exit_code or Exit.REFUSED, f"another driver goes on with run {run.id}: this one ends")
    return finish.finish(run, plan, work)


def _plan(run: Run, force: Force | None, stop: StopRequest, into: ObjectStore | None = None) -> PlanSummary:
    def foresight(folder: str) -> Precheck:
        """Checks the addresses of a manifest in `folder`."""
        return Precheck(Fetcher(run.config.sources, extra_roots=run.roots_of(folder)), stop.check)

    def counter(recipe: Recipe) -> CountCut | None:
        """Checks prompts for their length; a million take minutes."""
        count = cut_counter(recipe)

        def heard(texts: Sequence[str]) -> list[int]:
            """Count, unless a stop was asked for."""
            stop.check()
            return count(texts) if count else []

        return heard if count else None

    return plan_run(
        run.config.manifest,
        run.recipes,
        run.hashes,
        run.config,
        run.store,
        run.id,
        ledger_files=ledger_files(run.store),
        schedulers=SCHEDULERS,
        scratch=run.scratch,
        into=into,
        force=force,
        counter_of=counter,
        foresee=foresight,
        networks=run.instruments,
    )
