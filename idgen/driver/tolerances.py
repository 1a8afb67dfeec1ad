"""How many pictures may fail or be held back before a run ends with exit 3."""

from idgen.driver.setup import Run
from idgen.manifest.balance import Balance
from idgen.manifest.planner import PlanSummary


def too_many(run: Run, plan: PlanSummary, balance: Balance) -> str:
    """Return which tolerance a run has broken, in words, "" for none.

    Rows that an earlier run refused already are no news: the same command twice ends well the second time.
    """
    known = sum(plan.refused.values()) - plan.refused_new
    tried = balance.asked - balance.skipped - known
    failed = balance.rejected + balance.failed - known
    most_failed, most_held = run.config.run.max_failed_fraction, run.config.run.max_held_fraction
    if failed > most_failed * tried:
        return f"more than run.max_failed_fraction={most_failed:g} of the pictures tried are not ok"
    if balance.held_new > most_held * tried:
        return f"gates hold back more than run.max_held_fraction={most_held:g} of the pictures tried"
    return ""
