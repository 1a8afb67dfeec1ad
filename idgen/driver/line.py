"""The driver's side of the line: cluster, actors' settings, a first pass and a second one over what may go better."""

import contextlib
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from ray.data.exceptions import ExecutionTimeoutError
from ray.exceptions import RayActorError

from idgen import pipeline
from idgen.actors import cluster
from idgen.actors.faces import FaceSettings
from idgen.actors.facts import RunFacts
from idgen.actors.monitor import Progress
from idgen.actors.remote_monitor import RemoteMonitor
from idgen.actors.sampler import SamplerSettings
from idgen.driver.setup import Run
from idgen.driver.watch import StopRequest, Watch
from idgen.errors import Exit, RunError
from idgen.manifest.planner import PlanSummary, plan_retries
from idgen.manifest.shards import ShardRef, shards
from idgen.outputs.lease import Lease
from idgen.outputs.ledger import ledger_files
from idgen.report.progress import Counts, ProgressLine, progress_record
from idgen.stores.protocol import StoreError

NO_PROGRESS_S = 1800.0  # Ray's own default; a shard of work and a wait for nodes may take longer
CHAPTER_SHARDS = 5000


@dataclass(slots=True)
class Work:
    """What the line did: work counts of all actors, worker deaths, and why it stopped early, if it did."""

    counts: dict[str, int] = field(default_factory=dict)
    deaths: int = 0
    stop_reason: str = ""
    exit_code: Exit | None = None
    """Set when the run was stopped."""
    gpus: float = 0.0
    line_s: float = 0.0
    """From the first task to the last one's end; what GPU-hours and the rate are over."""


def run_line(run: Run, plan: PlanSummary, lease: Lease, stop: StopRequest) -> Work:
    """Sample and publish everything the plan lists; return what was done.

    Raises RunError(UNAVAILABLE) when the cluster is too small or the store stays away.
    """
    cluster.connect(run.config)
    try:
        return _work(run, plan, lease, stop)
    finally:
        cluster.release()


def _work(run: Run, plan: PlanSummary, lease: Lease, stop: StopRequest) -> Work:
    stop.listen()
    pools = cluster.pools(run.config, plan.shards, stop.check)
    cluster.check_output(run.store, shared=run.config.cluster.shared_output)
    monitor = cluster.start_monitor(run.config.run.breaker_failures)
    line = _line(run, plan, pools, monitor)
    shown = _Shown(run, plan)
    work = Work(gpus=pools.sampling.actors * pools.sampling.gpus)
    started_s = time.monotonic()
    deadline_s = run.config.run.deadline_s
    with Watch(monitor, stop, show=shown.show, write=shown.write, lease_lost=lease.lost, deadline_s=deadline_s):
        for chapter in _chapters(run, plan, monitor, shown):
            _run_chapter(chapter, line, monitor)
    progress = monitor.progress()
    shown.end(progress)
    work.line_s = time.monotonic() - started_s
    work.counts, work.deaths, work.stop_reason = progress.counts, progress.deaths, progress.stop_reason
    if progress.stop_reason:
        work.exit_code = stop.exit_code if stop.event.is_set() else Exit.TOO_MANY_FAILED
    return work


def _line(run: Run, plan: PlanSummary, pools: cluster.Pools, monitor: RemoteMonitor) -> pipeline.Line:
    config = run.config
    return pipeline.Line(
        run=RunFacts(
            output=run.store.root,
            run_id=run.id,
            recipes={name: run.recipes[name] for name in plan.recipes},
            identities=run.hashes.identities,
            signature_parameters=config.sources.signature_parameters,
        ),
        faces=FaceSettings(faces=config.faces, sources=config.sources, roots=run.manifest_roots),
        sampler=SamplerSettings(sampling=config.sampling, images=config.images),
        pools=pools,
        monitor=monitor,
        no_progress_timeout_s=max(NO_PROGRESS_S, 10 * config.planner.shard_seconds + config.cluster.wait_s),
    )


def _chapters(run: Run, plan: PlanSummary, monitor: RemoteMonitor, shown: "_Shown") -> Iterator[list[ShardRef]]:
    """The planned shards, then those of pictures that failed in a way that may pass; nothing after a stop.

    In pieces, as Ray Data takes 1 ms a task before the first one starts, and holds them all.
    """
    yield from _pieces(shards(run.store, run.id, plan.part), monitor)
    if run.config.run.second_pass and not monitor.stopping():
        yield from _pieces(_second_pass(run, shown), monitor)


def _pieces(refs: list[ShardRef], monitor: RemoteMonitor) -> Iterator[list[ShardRef]]:
    for start in range(0, len(refs), CHAPTER_SHARDS):
        if monitor.stopping():
            return
        yield refs[start : start + CHAPTER_SHARDS]


def _second_pass(run: Run, shown: "_Shown") -> list[ShardRef]:
    ledger = ledger_files(run.store)
    _, again = plan_retries(run.recipes, run.config, run.store, run.id, ledger_files=ledger, scratch=run.scratch)
    shown.retried = sum(shard.rows for shard in again)
    return again


def _run_chapter(chapter: list[ShardRef], line: pipeline.Line, monitor: RemoteMonitor) -> None:
    """Run some shards and check that every one came back with every row. What an actor raised comes out as it is."""
    rows = left = 0
    try:
        for counts in pipeline.run(chapter, line):
            rows += int(str(counts["rows"]))
            left += int(str(counts["left"]))
    except Exception as error:
        raise _own(error) from error
    planned = sum(shard.rows for shard in chapter)
    if rows != planned or (left and not monitor.stopping()):
        raise RunError(Exit.BUG, f"{planned} rows went into the line, {rows} came out, {left} of them not done")


def _own(error: BaseException) -> BaseException:
    """Find the RunError or StoreError inside what Ray raised."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, RunError):
            return seen
        if isinstance(seen, StoreError):
            return RunError(Exit.UNAVAILABLE, f"the output store stays away: {seen}")
        if isinstance(seen, ExecutionTimeoutError | RayActorError):
            return RunError(Exit.UNAVAILABLE, f"the line stands still or lost its monitor: {seen}")
        seen = getattr(seen, "cause", None) or seen.__cause__
    return error


class _Shown:
    """Progress as people see it: a line in the terminal, progress.json in the run's folder."""

    def __init__(self, run: Run, plan: PlanSummary) -> None:
        self._run, self._plan = run, plan
        self.line = ProgressLine(sys.stderr)
        self.retried = 0

    def counts(self, progress: Progress) -> Counts:
        """Pictures by status; duplicates follow the picture they share."""
        plan, statuses = self._plan, Counter(progress.statuses)
        return Counts(
            asked=plan.to_make + sum(plan.skipped.values()) + sum(plan.refused.values()),
            ok=statuses["ok"],
            rejected=statuses["rejected"] + sum(plan.refused.values()),
            failed=max(0, statuses["failed"] - self.retried),
            skipped=sum(plan.skipped.values()),
        )

    def show(self, progress: Progress) -> None:
        self.line.update(self.counts(progress))

    def end(self, progress: Progress) -> None:
        """Show and write the last counts."""
        with contextlib.suppress(StoreError, OSError):
            self.show(progress)
            self.line.close()
            self.write(progress)

    def write(self, progress: Progress) -> None:
        rate = self.line.speed.per_second(time.monotonic())
        started = self._run.started_at.isoformat(timespec="seconds")
        self._run.folder.write_progress(progress_record(self._run.id, self.counts(progress), rate, started_at=started))
