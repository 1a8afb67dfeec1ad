"""The job review: records what people decided about pictures. Starts no Ray; the next run's names follow."""

import getpass
from collections import Counter

import pyarrow as pa
import pyarrow.dataset as ds

from idgen.config import Config
from idgen.driver.decisions_file import clean, read_decisions
from idgen.errors import Exit, RunError
from idgen.outputs.lease import Lease
from idgen.outputs.ledger import dataset, ledger_files, reading_ledger
from idgen.reviews.decisions import ACCEPTED, REJECTED, Decision, add_decisions
from idgen.stores.opening import open_store
from idgen.stores.protocol import ObjectStore
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
    known = _of_pictures_there(store, decisions)
    if decisions and not known:
        raise RunError(
            Exit.USAGE,
            f"decisions: none of the {len(decisions):,} pictures of {config.decisions} is in this catalogue, for "
            f"example {decisions[0].key}; is it the file of another output?",
        )
    with Lease(store, "review"):
        new = add_decisions(store, known, by)
    _print_end(config, decisions, known, new, by)
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


def _of_pictures_there(store: ObjectStore, decisions: list[Decision]) -> list[Decision]:
    """Return the decisions on pictures that the catalogue has or had."""
    wanted = pa.array(sorted({one.key for one in decisions}), pa.string())
    with reading_ledger():
        is_there = (ds.field("status") == "ok") & ds.field("key").isin(wanted)
        found = dataset(store).to_table(columns=["key"], filter=is_there)
    keys = set(found["key"].to_pylist())
    return [one for one in decisions if one.key in keys]


def _print_end(config: Config, decisions: list[Decision], known: list[Decision], new: int, by: str) -> None:
    lost = sorted({one.key for one in decisions} - {one.key for one in known})
    if lost:
        more = " and more" if len(lost) > _SHOWN else ""
        print(f"not in this catalogue, left out: {len(lost):,}, for example {', '.join(lost[:_SHOWN])}{more}")
    counts = Counter({one.key: one.decision for one in sorted(known, key=lambda one: one.decided_at)}.values())
    print(f"{config.decisions}: accepted {counts[ACCEPTED]:,}, rejected {counts[REJECTED]:,}")
    if not new:
        print("nothing to do: every decision is recorded already")
        return
    print(f"recorded {new:,} decisions by {by}")
    if counts[REJECTED]:
        print("make others in the place of rejected ones: idgen rerun rerun.decision=rejected, with the same settings")
    print("names follow with the next run of the manifest: idgen generate, with the same settings")
