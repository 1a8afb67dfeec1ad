"""The end of a run: account for every picture, mend names, write results, summary and gallery, decide the exit code."""

import logging
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from idgen.driver.gallery import gallery_of
from idgen.driver.setup import Run
from idgen.driver.summary import summary_of
from idgen.driver.terminal import print_end
from idgen.driver.tolerances import too_many
from idgen.errors import Exit, RunError
from idgen.manifest.balance import Balance
from idgen.manifest.planner import PlanSummary
from idgen.manifest.results import write_results
from idgen.outputs import encoded_prompts
from idgen.outputs.encoded_prompts import encoder_of
from idgen.outputs.ledger import ledger_files
from idgen.outputs.named import mend
from idgen.stores.protocol import StoreError

if TYPE_CHECKING:
    from idgen.driver.line import Work

log = logging.getLogger(__name__)


def check_licences(run: Run, plan: PlanSummary) -> None:
    """Raise RunError(REFUSED) when `run.commercial` is set and a recipe's weights do not allow it so far.

    Pictures that are there already count: who asks for commercial use must not get them in the results either.
    """
    if not run.config.run.commercial:
        return
    licences = {name: run.recipes[name].licence for name in {**plan.recipes, **plan.settled}}
    faults = [f"{name}: {licence.name}" for name, licence in licences.items() if not licence.commercial_use]
    if faults:
        raise RunError(Exit.REFUSED, f"run.commercial=true, but weights forbid commercial use ({'; '.join(faults)})")
    done = run.config.run.registered
    missing = {name: [owner for owner in one.registration if owner not in done] for name, one in licences.items()}
    faults = [f"{name}: {', '.join(owners)}" for name, owners in missing.items() if owners]
    if faults:
        owners = dict.fromkeys((*done, *(owner for more in missing.values() for owner in more)))
        raise RunError(
            Exit.REFUSED,
            f"run.commercial=true, but commercial use of these weights requires registration first "
            f"({'; '.join(faults)}); the recipe's licence says how, then set run.registered=[{','.join(owners)}]",
        )


def finish(run: Run, plan: PlanSummary, work: "Work | None") -> int:
    """Write all that tells of the run, print the summary, return the exit code. `work` None = no line ran.

    The summary is written before the gallery, which may take minutes: who stops the job then still finds it. What says
    that the run has ended comes last: the same command finishes what a driver that is killed before leaves.
    """
    _record_refusals(run, plan)
    balance = write_results(
        run.store,
        run.id,
        ledger_files=ledger_files(run.store),
        scratch=run.scratch,
        signature_parameters=run.config.sources.hidden_parameters,
        memory_mb=run.config.planner.memory_mb,
        manifest=run.config.manifest,
        publish=run.config.images.publish,
        near_bits=run.config.checks.near_duplicate_bits,
        mend=lambda slots: mend(run.store, slots),
    )
    code = exit_code(run, plan, balance, work)
    summary = summary_of(run, plan, balance, work, code)
    run.folder.write_json("summary.json", summary)
    stopped = work is not None and work.exit_code is not None
    made = work is not None or balance.ok > 0  # by a driver of this run that was killed
    gallery = "" if stopped else gallery_of(run, summary, made=made)
    if code == Exit.OK and not run.config.sampling.keep_texts:
        _delete_texts(run)
    run.folder.delete_shards()
    run.folder.finish(summary)
    print_end(run, plan, balance, work, code, gallery)
    return code


def exit_code(run: Run, plan: PlanSummary, balance: Balance, work: "Work | None") -> Exit:
    """Return what the run ends with: a bug first, then a stop, then unusable weights, then too many failed or held."""
    stopped = work is not None and work.exit_code is not None
    if not balance.adds_up or (balance.unfinished and not stopped):
        return Exit.BUG
    if work is not None and work.exit_code is not None:
        return work.exit_code
    if work is not None and work.faults:
        return Exit.USAGE
    return Exit.TOO_MANY_FAILED if too_many(run, plan, balance) else Exit.OK


def exit_of_plan(run: Run, plan: PlanSummary) -> Exit:
    """Return what a run of this plan would end with if all went well that is not refused."""
    tried = plan.to_make + plan.duplicates + plan.refused_new
    return Exit.TOO_MANY_FAILED if plan.refused_new > run.config.run.max_failed_fraction * tried else Exit.OK


def _record_refusals(run: Run, plan: PlanSummary) -> None:
    """Copy the refusals that the ledger does not have yet into it; last, so that a run that failed tells them again."""
    if plan.refused_new and pq.read_metadata(run.scratch / "refused.parquet").num_rows:
        part = f"ledger/parts/{run.id}/plan{plan.part}-0-0.parquet"
        run.store.copy(f"runs/{run.id}/plan/refused.parquet", part)


def _delete_texts(run: Run) -> None:
    """Remove the texts of all recipes that the manifest names: nothing is left to make of them."""
    identities = run.hashes.identities
    encoders = {encoder_of(run.recipes[name], identities) for name in identities} - {""}
    try:
        encoded_prompts.delete(run.store, encoders)
    except StoreError as error:  # how the run ended is written already
        log.warning("%s is not empty: %s", run.store.uri(encoded_prompts.ROOT), error)
