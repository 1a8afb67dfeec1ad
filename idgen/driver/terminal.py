"""What people read in the terminal before and after a run."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from idgen.driver.examples import examples_of, failed_pictures, print_lines, refused_rows
from idgen.driver.report import how_to_open
from idgen.driver.setup import Run
from idgen.driver.tolerances import too_many
from idgen.errors import CODES, Code, Exit
from idgen.manifest.balance import Balance
from idgen.manifest.planner import PlanSummary
from idgen.report.progress import duration
from idgen.report.run_card import one_line

if TYPE_CHECKING:
    from idgen.driver.line import Work


_COLUMNS, _COLUMN_CHARS = 20, 40
"""A header can be anything: no more columns than this are shown."""


def print_plan(run: Run, plan: PlanSummary) -> None:
    """Say in a few lines what the plan found."""
    manifest = f"rows of {run.folder.redacted(run.config.manifest)}" if not run.config.reference else "row"
    print(f"run {run.id}: {plan.asked:,} pictures asked for in {plan.rows:,} {manifest}")
    print(f"  to make {plan.to_make:,} in {plan.shards:,} shards, about {duration(plan.gpu_seconds)} of sampling")
    if plan.blank_rows:
        print(f"  rows without any value, left out: {plan.blank_rows:,}")
    if plan.unknown_ids:
        print(
            f"  ids of select.file that are in no row: {plan.unknown_ids:,}, for example {_listed(plan.unknown_like)}"
        )
    if plan.ordered:
        print(f"  ordered in the place of rejected pictures: {plan.ordered:,}")
    if plan.own_columns:
        print(f"  your own columns, carried along: {_listed(plan.own_columns)}")
    print_lines([f"warning: {one_line(warning)}" for warning in plan.warnings], "  ")
    skipped, refused = sum(plan.skipped.values()), sum(plan.refused.values())
    before = " (" + ", ".join(f"{status} {count:,}" for status, count in plan.skipped.items()) + ")" if skipped else ""
    print(f"  settled before {skipped:,}{before}, duplicates {plan.duplicates:,}, refused {refused:,}")
    refused_like = examples_of(refused_rows(run.scratch), plan.refused)
    for code, count in sorted(plan.refused.items()):
        print(f"    {code}: {count:,}  ({CODES[Code(code)].what_to_do})")
        print_lines(refused_like.get(code, []), "      ")
    if refused:
        print(f"  refused rows: {run.store.uri(f'runs/{run.id}/plan/refused.csv')}")


def print_end(run: Run, plan: PlanSummary, balance: Balance, work: "Work | None", code: Exit, gallery: str) -> None:
    """Say what the run did, what to do about failures, and where things are."""
    if work is None:
        print(_nothing(run, plan))
    line = f"asked {balance.asked:,} = ok {balance.ok:,} + rejected {balance.rejected:,} + failed {balance.failed:,}"
    left = f" + left {balance.unfinished:,}" if balance.unfinished else ""
    print(f"{line} + skipped {balance.skipped:,}{left}   in {run.now_s():.0f} s")
    print_lines(_judged(run, balance), "")
    failed_like = examples_of(failed_pictures(run.scratch), balance.codes)
    for name, count in balance.codes.items():
        facts = CODES[Code(name)]
        print(f"  {name}: {count:,}  {facts.meaning}; {facts.what_to_do}")
        print_lines(failed_like.get(name, []), "    ")
    if balance.codes:
        print(f"  their rows, with why: {run.store.uri(f'runs/{run.id}/failed.parquet')}")
    for fault in work.faults if work else ():
        print(f"error: {fault}", file=sys.stderr)
    if work and work.stop_reason:
        print(f"stopped: {work.stop_reason}; run the same command again to continue")
    if gallery:
        print(f"{'gallery' if f'/{run.id}/' in gallery else 'newest gallery'}: {gallery}")
        if command := how_to_open(run.store):
            print(f"  to open it in a browser: {command}")
    print(f"results: {run.store.uri(f'runs/{run.id}/results.parquet')}")
    if run.config.reference and balance.ok + balance.skipped:
        path = pq.read_table(run.scratch / "results.parquet", columns=["image_path"])["image_path"][0].as_py()
        print(f"picture: {run.store.uri(path)}" if path else "no picture")
    elif code == Exit.OK:
        print("\n".join(run.config.notes))
    reason = too_many(run, plan, balance) if code == Exit.TOO_MANY_FAILED and not (work and work.stop_reason) else ""
    print(f"exit {int(code)}{f': {reason}' if reason else ''}")


def _judged(run: Run, balance: Balance) -> list[str]:
    """Return what gates and people say of the manifest's pictures, where they say anything."""
    lines = []
    if balance.picture_warnings:
        told = ", ".join(f"{code} {count:,}" for code, count in balance.picture_warnings.items() if code != "held")
        lines += [f"  warnings on pictures: {told}"] if told else []
    if balance.held or balance.accepted or balance.rejected_by_review:
        by_people = f"accepted {balance.accepted:,}, rejected by review {balance.rejected_by_review:,}"
        lines.append(f"  held {balance.held:,}, {by_people}")
    if balance.held and run.config.images.publish != "ok":
        lines.append("  held pictures have no named copy until they are accepted: idgen review")
    if balance.withdrawn:
        lines.append(f"  named copies withdrawn: {balance.withdrawn:,} (held or rejected, with nothing else to show)")
    if balance.images_replaced:
        lines.append(f"  images replaced by others under the same key: {balance.images_replaced:,} (image_replaced)")
    return lines


def _listed(names: Sequence[str]) -> str:
    shown = ["".join(c if c.isprintable() else "?" for c in name[:_COLUMN_CHARS]) for name in names[:_COLUMNS]]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _nothing(run: Run, plan: PlanSummary) -> str:
    if not plan.asked and run.config.rerun.decision:
        return "nothing to do: no picture of the manifest is rejected and without another one in its place"
    if not plan.asked:
        return "nothing to do: the manifest, or what was selected of it, holds no row"
    if set(plan.skipped) <= {"ok"} and not plan.refused:
        return "nothing to do: every picture is done"
    return "nothing to do: the rest was refused or given up before; jobs/rerun.py rerun.code=[…] makes it again"
