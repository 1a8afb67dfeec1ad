"""What a run writes about itself: config.yaml before the first row, summary.json at every kind of end."""

import contextlib
import hashlib
import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from idgen.driver.setup import Run
from idgen.errors import Exit, RunError
from idgen.manifest.balance import Balance
from idgen.manifest.planner import PlanSummary
from idgen.settings import to_plain
from idgen.stores.protocol import StoreError
from idgen.versions import git_commit, versions

if TYPE_CHECKING:
    from idgen.driver.line import Work


def write_config(run: Run) -> None:
    """Write the resolved configuration, redacted, with what it will run on, before the first row."""
    plain: dict[str, object] = {
        "config": to_plain(run.config),
        "recipes": sorted(name for name in run.recipes if "@" not in name),
    }
    run.folder.write_config(plain | {"versions": versions(), "git_commit": git_commit(), "hash": config_hash(run)})


def config_hash(run: Run) -> str:
    """Return 16 hex digits that name the configuration."""
    text = json.dumps(to_plain(run.config), sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def summary_of(run: Run, plan: PlanSummary, balance: Balance, work: "Work | None", code: Exit) -> dict[str, object]:
    """Return what summary.json holds: exit code, counts over pictures, times, work done, licences, versions."""
    counts = {name: value for name, value in asdict(balance).items() if name != "codes"}
    return {
        **_origin(run, code),
        **counts,
        "codes": balance.codes,
        "warnings": [str(warning) for warning in plan.warnings],
        "duplicates": plan.duplicates,
        "images_per_s": round((balance.ok - balance.ok_before) / work.line_s, 4) if work and work.line_s else None,
        "gpu_hours": round(work.gpu_s / 3600, 4) if work else 0.0,
        "line_s": round(work.line_s, 1) if work else 0.0,
        "texts_s": round(work.texts_s, 1) if work else 0.0,
        "work": work.counts if work else {},
        "worker_deaths": work.deaths if work else 0,
        "stop_reason": work.stop_reason if work else "",
        "error": "; ".join(work.faults) if work else "",
        "recipes": [_recipe(run, name) for name in plan.recipes],
    }


def _recipe(run: Run, name: str) -> dict[str, object]:
    """With the sha256 of each role: for weights that are not pinned, nothing else shows later what they were."""
    recipe, digest = run.recipes[name], run.hashes[name]
    weights = run.hashes.identities[name]
    return {"name": name, "title": recipe.title, "licence": asdict(recipe.licence), "hash": digest, "weights": weights}


def write_failure(run: Run, error: RunError | StoreError) -> None:
    """Write summary.json of a run that ended before it could count; not when the store cannot be reached."""
    code = error.exit_code if isinstance(error, RunError) else Exit.UNAVAILABLE
    with contextlib.suppress(StoreError):
        run.folder.write_json("summary.json", {**_origin(run, code), "error": str(error)})


def _origin(run: Run, code: Exit) -> dict[str, object]:
    return {
        "run_id": run.id,
        "exit_code": int(code),
        "started_at": run.started_at.isoformat(timespec="seconds"),
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(run.now_s(), 1),
        "manifest": run.config.manifest,
        "output": run.store.root,
        "versions": versions(),
        "git_commit": git_commit(),
        "config_hash": config_hash(run),
    }
