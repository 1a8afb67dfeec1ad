"""Progress as people see it while the line runs."""

import contextlib
import sys
import time
from collections import Counter
from collections.abc import Iterator

from idgen.actors.monitor import Progress
from idgen.actors.pool_state import PoolState
from idgen.driver.setup import Run
from idgen.manifest.planner import PlanSummary
from idgen.report.progress import ProgressLine, StatusCounts, progress_record
from idgen.stores.protocol import StoreError


class ProgressDisplay:
    """A line in the terminal, progress.json in the run's folder."""

    def __init__(self, run: Run, plan: PlanSummary, pool_state: PoolState) -> None:
        self._run, self._plan, self._pool_state = run, plan, pool_state
        self.line = ProgressLine(sys.stderr)
        self.retried = 0
        self.prompts = 0
        """How many are being encoded ahead; 0 while pictures are made."""
        self._encoded = 0  # by earlier passes

    def counts(self, progress: Progress) -> StatusCounts:
        """Pictures by status; duplicates follow the picture they share."""
        plan, statuses = self._plan, Counter(progress.statuses)
        return StatusCounts(
            asked=plan.to_make + sum(plan.skipped.values()) + sum(plan.refused.values()),
            ok=statuses["ok"],
            rejected=statuses["rejected"] + sum(plan.refused.values()),
            failed=max(0, statuses["failed"] - self.retried),
            skipped=sum(plan.skipped.values()),
            held=progress.held,
        )

    @contextlib.contextmanager
    def encoding(self, prompts: int, progress: Progress) -> Iterator[None]:
        """Show how many of `prompts` are encoded while the block runs; `progress` is from before it."""
        self.prompts, self._encoded = prompts, progress.counts.get("prompt_encodings", 0)
        try:
            yield
        finally:
            self.prompts = 0

    def show(self, progress: Progress) -> None:
        """Show how far the run is."""
        if self._pool_state.waiting:
            self.line.tell(self._pool_state.waiting)
        elif self.prompts:
            self.line.tell(f"encoding prompts ahead: {self._done(progress):,} of {self.prompts:,}")
        else:
            self.line.update(self.counts(progress))

    def end(self, progress: Progress) -> None:
        """Show and write the last counts."""
        with contextlib.suppress(StoreError, OSError):
            self.show(progress)
            self.line.close()
            self.write(progress)

    def write(self, progress: Progress) -> None:
        """Replace progress.json."""
        rate = self.line.speed.per_second(time.monotonic())
        started = self._run.started_at.isoformat(timespec="seconds")
        record = progress_record(self._run.id, self.counts(progress), rate, started_at=started)
        ahead = {"prompts": {"asked": self.prompts, "encoded": self._done(progress)}} if self.prompts else {}
        self._run.folder.write_progress(record | ahead | {"waiting": self._pool_state.waiting})

    def _done(self, progress: Progress) -> int:
        return progress.counts.get("prompt_encodings", 0) - self._encoded
