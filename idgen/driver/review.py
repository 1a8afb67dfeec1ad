"""The job review: records what people decided about pictures. Starts no Ray; the next run's names follow."""

import getpass
from collections import Counter

from idgen.config import Config
from idgen.driver.decisions_file import clean, read_decisions
from idgen.errors import Exit, RunError
from idgen.outputs.lease import Lease
from idgen.outputs.ledger import ledger_files
from idgen.reviews.decisions import ACCEPTED, REJECTED, Decision, add_decisions
from idgen.reviews.seen_pictures import on_pictures
from idgen.stores.opening import open_store
from idgen.values import MAX_ID_CHARS

_SHOWN = 3


def review_job(config: Config) -> int:
    """Record the decisions of `config.decisions` and say what they are; return OK."""
    if not config.output:
        raise RunError(Exit.USAGE, "say which catalogue: output=<folder or s3://bucket/prefix>")
    if not config.decisions:
        raise RunError(Exit.USAGE, "say what was decided: decisions=<decisions.csv, as the gallery exports it>")
    by = _reviewer(config.review.by)
    decisions = read_decisions(config.decisions)
    store = open_store(config.output)
    if not ledger_files(store):
        raise RunError(Exit.USAGE, f"no catalogue at {config.output}: it has no ledger")
    known, outdated = on_pictures(store, decisions)
    if decisions and not known and not outdated:
        raise RunError(
            Exit.USAGE,
            f"decisions: none of the {len(decisions):,} pictures of {config.decisions} is in this catalogue, for "
            f"example {decisions[0].key}; is it the file of another output?",
        )
    with Lease(store, "review"):
        new = add_decisions(store, known, by)
    _print_end(config, decisions, known, outdated, new, by)
    return Exit.OK


def _reviewer(given: str) -> str:
    """Return who decided. Raises RunError(USAGE) when nobody is named and nobody is logged in."""
    try:
        name = clean(given) or getpass.getuser()
    except (OSError, KeyError, ImportError):  # containers run as numbers without a name
        raise RunError(Exit.USAGE, "say who decided: review.by=<name>") from None
    if len(name) > MAX_ID_CHARS:
        raise RunError(Exit.USAGE, f"review.by: has {len(name)} characters, allowed are {MAX_ID_CHARS}")
    return name


def _print_end(
    config: Config, decisions: list[Decision], known: list[Decision], outdated: list[Decision], new: int, by: str
) -> None:
    there = {one.key for one in (*known, *outdated)}
    _print_left_out("not in this catalogue", {one.key for one in decisions} - there)
    _print_left_out("accepted before the picture was made again, look at it again", {one.key for one in outdated})
    counts = Counter({one.key: one.decision for one in sorted(known, key=lambda one: one.decided_at)}.values())
    print(f"{config.decisions}: accepted {counts[ACCEPTED]:,}, rejected {counts[REJECTED]:,}")
    if not new:
        print("nothing to do: every decision is recorded already")
        return
    print(f"recorded {new:,} decisions by {by}")
    if counts[REJECTED]:
        print("make others in the place of rejected ones: idgen rerun rerun.decision=rejected, with the same settings")
    print("names follow with the next run of the manifest: idgen generate, with the same settings")


def _print_left_out(why: str, keys: set[str]) -> None:
    if keys:
        more = " and more" if len(keys) > _SHOWN else ""
        print(f"{why}, left out: {len(keys):,}, for example {', '.join(sorted(keys)[:_SHOWN])}{more}")
