"""The status of a run, read from its folder alone: no Ray, no cluster, from any machine that sees the store."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from pyarrow.fs import FileSelector, FileType

from idgen.errors import Exit, RunError
from idgen.report.progress import StatusCounts, duration, format_progress
from idgen.report.rows import run_folder
from idgen.report.run_card import one_line
from idgen.stores.protocol import ObjectStore

STALE_S = 60.0
"""progress.json is written every 15 s; older than this the driver may be dead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStatus:
    """A run: `state` is running, stale, ended, planned (nothing made yet) or unknown (nothing written yet)."""

    run_id: str
    state: str
    counts: StatusCounts
    images_per_s: float | None
    age_s: float | None
    """Since the last sign of life: of progress.json, or of summary.json when the run has ended."""
    exit_code: int | None
    """Of a run that ended."""
    to_make: int | None
    """What the plan found to make, of a run that has only planned."""
    started_at: str
    waiting: str = ""
    """What a run that goes on waits for."""


def run_status(store: ObjectStore, run_id: str, now: datetime | None = None) -> RunStatus:
    """Read how the run stands; RunError(USAGE) when it has no folder. `now` is for tests."""
    now = now or datetime.now(UTC)
    folder = run_folder(run_id)
    for name in ("summary.json", "progress.json", "plan/summary.json"):
        info = store.head(f"{folder}/{name}")
        if info is None:
            continue
        facts = read_json(store, f"{folder}/{name}")
        age_s = max((now - info.modified).total_seconds(), 0.0)
        return _planned(run_id, facts, age_s) if "/" in name else _status(run_id, facts, age_s, name == "summary.json")
    if next(iter(store.list(f"{folder}/")), None) is None:
        known = ", ".join(run_ids(store)[:5]) or "none"
        raise RunError(Exit.USAGE, f"no run {run_id} in {store.root}; newest runs: {known}")
    return _status(run_id, {}, None, False)


def run_ids(store: ObjectStore) -> list[str]:
    """Return the names of all runs, newest name first (names begin with date and time unless people chose them)."""
    filesystem, root = store.filesystem()
    selector = FileSelector(f"{root.rstrip('/')}/runs", recursive=False, allow_not_found=True)
    names = [info.base_name for info in filesystem.get_file_info(selector) if info.type == FileType.Directory]
    return sorted((name for name in names if name.isprintable()), reverse=True)


def list_runs(store: ObjectStore, limit: int = 20, now: datetime | None = None) -> list[RunStatus]:
    """Return how the newest `limit` runs stand."""
    return [run_status(store, run_id, now) for run_id in run_ids(store)[:limit]]


def format_status(status: RunStatus) -> str:
    """Return a run's state in a few lines for a terminal."""
    lines = [f"run {one_line(status.run_id)}: {_headline(status)}", format_progress(status.counts, status.images_per_s)]
    lines += [status.waiting] if status.waiting else []
    if status.age_s is not None and status.state in ("running", "stale"):
        stale = f"; older than {STALE_S:.0f} s: the driver may be dead" if status.state == "stale" else ""
        lines.append(f"last written {duration(status.age_s)} ago{stale}")
    return "\n".join(lines)


def format_runs(runs: list[RunStatus]) -> str:
    """Return a table of runs, one a line, or a sentence when there are none."""
    if not runs:
        return "no runs yet"
    width = max(len(one_line(run.run_id)) for run in runs)
    wide = max(14, *(len(_state(run)) for run in runs))
    counted = f"{'asked':>10} {'ok':>10} {'rejected':>9} {'failed':>9} {'skipped':>10}"
    lines = [f"{'run':<{width}}  {'state':<{wide}} {counted}  age"]
    for run in runs:
        of = run.counts
        counts = f"{of.asked:>10,} {of.ok:>10,} {of.rejected:>9,} {of.failed:>9,} {of.skipped:>10,}"
        lines.append(f"{one_line(run.run_id):<{width}}  {_state(run):<{wide}} {counts}  {duration(run.age_s)}")
    return "\n".join(lines)


def read_json(store: ObjectStore, path: str) -> dict[str, object]:
    """Return the JSON object at a path; {} for anything else (StoreError and ObjectMissing pass through)."""
    try:
        value = json.loads(store.get(path))
    except ValueError:  # being rewritten without a rename, or mended by hand
        return {}
    return value if isinstance(value, dict) else {}


def counts_of(facts: Mapping[str, object]) -> StatusCounts:
    """Return the counts of a progress.json or summary.json, which stand at its top or under `counts`."""
    inner = facts.get("counts")
    source = inner if isinstance(inner, Mapping) else facts
    names = ("asked", "ok", "rejected", "failed", "skipped", "held")
    return StatusCounts(**{name: _whole(source.get(name)) for name in names})


def _status(run_id: str, facts: Mapping[str, object], age_s: float | None, ended: bool) -> RunStatus:
    running = "unknown" if age_s is None else "stale" if age_s > STALE_S else "running"
    rate, code = facts.get("images_per_s"), facts.get("exit_code")
    return RunStatus(
        run_id=run_id,
        state="ended" if ended else running,
        counts=counts_of(facts),
        images_per_s=float(rate) if isinstance(rate, int | float) else None,
        age_s=age_s,
        exit_code=code if ended and isinstance(code, int) else None,
        to_make=None,
        started_at=one_line(facts.get("started_at") or ""),
        waiting="" if ended else one_line(facts.get("waiting") or ""),
    )


def _planned(run_id: str, plan: Mapping[str, object], age_s: float) -> RunStatus:
    refused, skipped = (
        sum(_whole(count) for count in part.values()) if isinstance(part := plan.get(name), Mapping) else 0
        for name in ("refused", "skipped")
    )
    return RunStatus(
        run_id=run_id,
        state="planned",
        counts=StatusCounts(asked=_whole(plan.get("asked")), rejected=refused, skipped=skipped),
        images_per_s=None,
        age_s=age_s,
        exit_code=None,
        to_make=_whole(plan.get("to_make")),
        started_at="",
    )


def _headline(status: RunStatus) -> str:
    if status.state == "ended":
        code = "" if status.exit_code is None else f" with exit code {status.exit_code}"
        return f"ended{code} {duration(status.age_s)} ago"
    if status.state == "planned":
        return f"{_state(status)}; no picture has been started yet, or only a plan was asked for"
    if status.state == "unknown":
        return "nothing written yet (still planning, or it ended before the first picture)"
    return "running" if status.state == "running" else "stale"


def _state(run: RunStatus) -> str:
    if run.state == "planned":
        return f"planned, {run.to_make:,} to make"
    return f"ended, exit {run.exit_code}" if run.state == "ended" else run.state


def _whole(value: object) -> int:
    return int(value) if isinstance(value, int | float) else 0
