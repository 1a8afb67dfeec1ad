"""The end of a run: account for every picture, mend names, write results, gallery and summary, decide the exit code."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from idgen.driver.setup import Run
from idgen.errors import CODES, Code, Exit, RunError
from idgen.manifest.planner import PlanSummary
from idgen.manifest.results import Balance, write_results
from idgen.outputs.ledger import ledger_files
from idgen.outputs.named import NamedPicture, mend, named_path
from idgen.report.progress import duration
from idgen.settings import to_plain
from idgen.sources.redact import redact_text
from idgen.versions import git_commit, versions

if TYPE_CHECKING:
    from idgen.driver.line import Work

_NAMED_COLUMNS = [
    "ledger_status", "output_name", "image_index", "num_images", "image_path", "image_bytes", "finished_at",
]  # fmt: skip


def write_config(run: Run) -> None:
    """Write the resolved configuration, redacted, with what it will run on, before the first row."""
    plain: dict[str, Any] = {"config": to_plain(run.config), "recipes": sorted(run.recipes)}
    run.folder.write_config(plain | {"versions": versions(), "git_commit": git_commit(), "hash": config_hash(run)})


def config_hash(run: Run) -> str:
    """Return 16 hex digits that name the configuration."""
    text = json.dumps(to_plain(run.config), sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def print_plan(run: Run, plan: PlanSummary) -> None:
    """Say in a few lines what the plan found."""
    skipped, refused = sum(plan.skipped.values()), sum(plan.refused.values())
    print(
        f"run {run.id}: {plan.asked:,} pictures asked for in {plan.rows:,} rows of {redact_text(run.config.manifest)}"
    )
    print(
        f"  to make {plan.to_make:,} in {plan.shards:,} shards, about {duration(plan.gpu_seconds)} of sampling"
    )
    print(f"  done before {skipped:,}, duplicates {plan.duplicates:,}, refused {refused:,}")
    for code, count in sorted(plan.refused.items()):
        print(f"    {code}: {count:,}  ({CODES[Code(code)].what_to_do})")
    if refused:
        print(f"  refused rows: {run.store.uri(f'runs/{run.id}/plan/refused.csv')}")


def check_licences(run: Run, plan: PlanSummary) -> None:
    """Raise RunError(REFUSED) when `run.commercial` is set and a planned recipe's weights forbid it."""
    if not run.config.run.commercial:
        return
    forbidden = [name for name in plan.recipes if not run.recipes[name].licence.commercial_use]
    if forbidden:
        licences = "; ".join(f"{name}: {run.recipes[name].licence.name}" for name in forbidden)
        raise RunError(Exit.REFUSED, f"run.commercial=true, but weights forbid commercial use ({licences})")


def record_refusals(run: Run, plan: PlanSummary) -> None:
    """Copy the refusals that the ledger does not have yet into it."""
    if plan.refused_new:
        part = f"ledger/parts/{run.id}/plan{plan.part}-0-0.parquet"
        run.store.copy(f"runs/{run.id}/plan/refused.parquet", part)


def finish(run: Run, plan: PlanSummary, work: "Work | None") -> int:
    """Write all that tells of the run, print the summary, return the exit code. `work` None = no line ran."""
    balance = write_results(
        run.store,
        run.id,
        ledger_files=ledger_files(run.store),
        scratch=run.scratch,
        signature_parameters=run.config.sources.signature_parameters,
        memory_mb=run.config.planner.memory_mb,
    )
    mend(run.store, _named(run))
    code = exit_code(run, plan, balance, work)
    summary = _summary(run, plan, balance, work, code)
    gallery = _gallery(run, summary) if run.config.report.enabled else ""
    run.folder.finish(summary)
    _print_end(run, plan, balance, work, code, gallery)
    return code


def exit_code(run: Run, plan: PlanSummary, balance: Balance, work: "Work | None") -> Exit:
    """Return what the run ends with: a bug first, then a stop, then too many failures.

    Rows that an earlier run refused already are no news: the same command twice ends well the second time.
    """
    stopped = work is not None and work.exit_code is not None
    if not balance.adds_up or (balance.unfinished and not stopped):
        return Exit.BUG
    if work is not None and work.exit_code is not None:
        return work.exit_code
    known = sum(plan.refused.values()) - plan.refused_new
    tried = balance.asked - balance.skipped - known
    failed = balance.rejected + balance.failed - known
    return Exit.TOO_MANY_FAILED if failed > run.config.run.max_failed_fraction * tried else Exit.OK


def _named(run: Run) -> Iterator[NamedPicture]:
    """Ok pictures of this manifest that have names, from the results file in scratch."""
    with pq.ParquetFile(run.scratch / "results.parquet") as results:
        for batch in results.iter_batches(columns=_NAMED_COLUMNS):
            for row in batch.to_pylist():
                if row["ledger_status"] == "ok" and row["output_name"] and row["image_path"]:
                    extension = row["image_path"].rpartition(".")[2]
                    path = named_path(row["output_name"], row["image_index"], row["num_images"] or 1, extension)
                    yield NamedPicture(
                        named_path=path,
                        image_path=row["image_path"],
                        image_bytes=row["image_bytes"],
                        finished_at=row["finished_at"],
                    )


def _summary(run: Run, plan: PlanSummary, balance: Balance, work: "Work | None", code: Exit) -> dict[str, Any]:
    seconds = run.now_s()
    made = balance.ok
    counts = {name: value for name, value in asdict(balance).items() if name != "codes"}
    recipes = [
        {"name": name, "title": run.recipes[name].title, "licence": asdict(run.recipes[name].licence)}
        for name in plan.recipes
    ]
    return {
        "run_id": run.id,
        "exit_code": int(code),
        **counts,
        "codes": balance.codes,
        "duplicates": plan.duplicates,
        "started_at": run.started_at.isoformat(timespec="seconds"),
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        "images_per_s": round(made / seconds, 4) if work else None,
        "gpu_hours": round(work.gpus * seconds / 3600, 4) if work else 0.0,
        "work": work.counts if work else {},
        "worker_deaths": work.deaths if work else 0,
        "stop_reason": work.stop_reason if work else "",
        "recipes": recipes,
        "manifest": redact_text(run.config.manifest),
        "output": run.store.root,
        "versions": versions(),
        "git_commit": git_commit(),
        "config_hash": config_hash(run),
    }


def _gallery(run: Run, summary: dict[str, Any]) -> str:
    """Make the gallery; a run is not a failure because its report is."""
    from idgen.report.gallery import write_report
    from idgen.report.thumbnails import PhotoReader

    path = write_report(
        run.store,
        run.id,
        run.config.report,
        notes=run.config.notes,
        summary=summary,
        references=PhotoReader(run.config.sources, run.manifest_roots),
        reference_uris=_full_uris(run),
    )
    return run.store.uri(path)


def _full_uris(run: Run) -> dict[str, list[str]]:
    """Key -> references with their signatures, of as many pictures as the gallery shows; never written anywhere."""
    uris: dict[str, list[str]] = {}
    with pq.ParquetFile(run.scratch / "asked.parquet") as asked:
        for batch in asked.iter_batches(columns=["key", "reference_uris"]):
            uris.update(zip(batch.column("key").to_pylist(), batch.column("reference_uris").to_pylist(), strict=True))
            if len(uris) >= run.config.report.max_rows:
                break
    return {key: value or [] for key, value in uris.items()}


def _print_end(run: Run, plan: PlanSummary, balance: Balance, work: "Work | None", code: Exit, gallery: str) -> None:
    if work is None:
        print("nothing to do: every picture is done" + (" or refused" if plan.refused else ""))
    line = f"asked {balance.asked:,} = ok {balance.ok:,} + rejected {balance.rejected:,} + failed {balance.failed:,}"
    left = f" + left {balance.unfinished:,}" if balance.unfinished else ""
    print(f"{line} + skipped {balance.skipped:,}{left}   in {run.now_s():.0f} s")
    for name, count in balance.codes.items():
        facts = CODES[Code(name)]
        print(f"  {name}: {count:,}  {facts.meaning}; {facts.what_to_do}")
    if work and work.stop_reason:
        print(f"stopped: {work.stop_reason}; run the same command again to go on")
    if gallery:
        print(f"gallery: {gallery}")
    print(f"results: {run.store.uri(f'runs/{run.id}/results.parquet')}   exit {int(code)}")
    for note in run.config.notes:
        print(note)
