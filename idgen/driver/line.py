"""The driver's side of the line: cluster, actors' settings, a first pass, and a second one for retriable failures."""

import time
from dataclasses import dataclass, field, replace

from idgen import pipeline
from idgen.actors import cluster
from idgen.actors.facts import FaceSettings, RunFacts, SamplerSettings
from idgen.actors.held_gpus import GPU_MS
from idgen.actors.pool_sizes import Pools
from idgen.actors.pool_state import PoolState
from idgen.actors.remote_monitor import RemoteMonitor
from idgen.driver.line_results import collect_results
from idgen.driver.progress_display import ProgressDisplay
from idgen.driver.prompts_ahead import encode_ahead
from idgen.driver.setup import Run
from idgen.driver.watch import StopRequest, Watch
from idgen.errors import Exit
from idgen.manifest.ordering import rejected_to_make
from idgen.manifest.planner import RETRIES, TO_MAKE, PlanSummary, plan_retries
from idgen.manifest.shards import ShardRef, shards
from idgen.outputs.lease import Lease
from idgen.outputs.ledger import ledger_files

NO_PROGRESS_S = 1800.0  # Ray's own default; a shard of work and a wait for nodes may take longer
SHARDS_PER_ROUND = 5000


@dataclass(slots=True)
class Work:
    """What the line did: work counts of all actors, worker deaths, and why it stopped early, if it did."""

    counts: dict[str, int] = field(default_factory=dict)
    deaths: int = 0
    stop_reason: str = ""
    exit_code: Exit | None = None
    """Set when the run was stopped."""
    line_s: float = 0.0
    """From the first task of each pass to the last one's end; what the rate is over."""
    texts_s: float = 0.0
    """The same for encoding prompts ahead."""
    faults: tuple[str, ...] = ()
    """Weights that cannot be used, one line each: the rows of their recipes failed."""
    gpu_s: float = 0.0
    """GPUs held by actors, times seconds."""


def run_line(run: Run, plan: PlanSummary, lease: Lease, stop: StopRequest) -> Work:
    """Sample and publish everything the plan lists; return what was done.

    Raises RunError(UNAVAILABLE) when the cluster is too small or the store stays away.
    """
    cluster.connect(run.config, stop.check)
    try:
        return _work(run, plan, lease, stop)
    finally:
        cluster.release()


def _work(run: Run, plan: PlanSummary, lease: Lease, stop: StopRequest) -> Work:
    stop.listen()
    monitor = cluster.start_monitor(run.config.run)
    pool_state = PoolState(monitor.stopping)
    shown = ProgressDisplay(run, plan, pool_state)
    with Watch(monitor, stop, show=shown.show, write=shown.write, lease_lost=lease.lost):
        pools = cluster.pools(run.config, plan.shards, pool_state, stop.check)
        cluster.check_output(run.store, shared=run.config.cluster.shared_output)
        passes = _Passes(run, _line(run, plan, pools, monitor, pool_state), stop, shown)
        passes.run_planned(plan)
        if run.config.run.second_pass and not monitor.stopping():
            passes.run_again()
    progress, work = monitor.progress(), passes.work
    shown.end(progress)
    work.gpu_s = progress.counts.pop(GPU_MS, 0) / 1000
    work.counts, work.deaths, work.stop_reason = progress.counts, progress.deaths, progress.stop_reason
    work.faults = progress.faults
    if progress.stop_reason:
        work.exit_code = stop.exit_code if stop.event.is_set() else Exit.TOO_MANY_FAILED
    return work


def _line(run: Run, plan: PlanSummary, pools: Pools, monitor: RemoteMonitor, pool_state: PoolState) -> pipeline.Line:
    config = run.config
    return pipeline.Line(
        run=RunFacts(
            output=run.store.root,
            run_id=run.id,
            recipes={name: run.recipes[name] for name in plan.recipes},
            identities=run.hashes.identities,
            signature_parameters=config.sources.hidden_parameters,
            checks=config.checks,
            instruments=run.instruments,
        ),
        faces=FaceSettings(faces=config.faces, sources=config.sources, roots=run.manifest_roots),
        sampler=SamplerSettings(
            sampling=config.sampling,
            images=config.images,
            gates=config.gates,
            rejected=rejected_to_make(run.store, run.scratch, config.planner.memory_mb),
            thumbnail_px=config.report.thumbnail_px if config.report.enabled else 0,
        ),
        pools=pools,
        monitor=monitor,
        pool_state=pool_state,
        no_progress_timeout_s=max(NO_PROGRESS_S, 10 * config.planner.shard_seconds + config.cluster.wait_s),
    )


class _Passes:
    """Passes of a run over its pictures: each begins with the prompts that are to be encoded ahead of it."""

    def __init__(self, run: Run, line: pipeline.Line, stop: StopRequest, shown: ProgressDisplay) -> None:
        self.work = Work()
        self._run, self._line, self._stop, self._shown = run, line, stop, shown

    def run_planned(self, plan: PlanSummary) -> None:
        """Run the shards of the plan."""
        self._run_pass(TO_MAKE, shards(self._run.store, self._run.id, plan.part))

    def run_again(self) -> None:
        """Run again what failed with a retriable code."""
        run = self._run
        ledger = ledger_files(run.store)
        _, again = plan_retries(run.recipes, run.config, run.store, run.id, ledger_files=ledger, scratch=run.scratch)
        self._shown.retried = sum(shard.rows for shard in again)
        if again:
            self._run_pass(RETRIES, again)

    def _run_pass(self, chosen: str, refs: list[ShardRef]) -> None:
        """In pieces, because Ray Data spends 1 ms per task before the first one starts, and holds them all."""
        ahead = encode_ahead(self._run, chosen, self._line, self._stop, self._shown)
        line = replace(self._line, sampler=replace(self._line.sampler, failed_texts=ahead.failed))
        started_s = time.monotonic()
        for start in range(0, len(refs), SHARDS_PER_ROUND):
            if line.monitor.stopping():
                break
            piece = refs[start : start + SHARDS_PER_ROUND]
            collect_results(pipeline.run(piece, line), sum(shard.rows for shard in piece), line)
        self.work.line_s += time.monotonic() - started_s
        self.work.texts_s += ahead.seconds
