"""What runs that died left in a catalogue: plan shards, which hold addresses with their signatures, and half writes.

The next run removes them under its lease, `verify` counts them. A run's shards are dead when the lease is not that
run's. A write that never ended is dead when nothing was added to it for STALE_S: jobs without a lease write, too.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from idgen.outputs.lease import LEASE_PATH, lease_owner
from idgen.stores.protocol import ObjectStore, StoreError, UnfinishedWrite

STALE_S = 3600.0
"""Longer than any clock is wrong, and than any write stands still."""
FOLDERS = ("images/", "ledger/", "named/", "reviews/", "runs/", "texts/", "thumbs/")
"""What a catalogue writes; an output folder may have other things in it."""
_SHARDS = "shards-"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Leftovers:
    """Of runs that died."""

    plans: list[str]
    """Files of their plans."""
    writes: list[UnfinishedWrite]
    lease: list[str]
    """The lease, when nobody renewed it for STALE_S."""

    def paths(self) -> list[str]:
        """Return where they are, sorted."""
        return sorted([*self.plans, *(write.path for write in self.writes), *self.lease])


def leftovers(store: ObjectStore, now: datetime | None = None) -> Leftovers:
    """Return what is left, seen from beside: a run that holds the lease is alive, and all its files are. StoreError."""
    now = now or datetime.now(UTC)
    lease = store.head(LEASE_PATH)
    is_old = lease is not None and lease.modified < now - timedelta(seconds=STALE_S)
    alive = set() if is_old else {lease_owner(store)}
    plans = list(_plans(store))
    alive |= set() if is_old else {lease_owner(store)}  # a run that began while we looked
    dead = [path for path in plans if _run_of(path) not in alive]
    return Leftovers(dead, list(_writes(store, now)), [LEASE_PATH] if is_old else [])


def remove_leftovers(store: ObjectStore, run_id: str, now: datetime | None = None) -> list[str]:
    """Remove what is left, under the lease of this run; return the paths. Nothing of it ends a run: it raises nothing.

    Of an earlier try of this run the index of its plan stays: it has no address, and its names are not used again.
    """
    try:
        plans = [path for path in _plans(store) if _run_of(path) != run_id or _SHARDS in path]
        writes = list(_writes(store, now or datetime.now(UTC)))
        store.delete(plans)
        store.discard(writes)
    except StoreError as error:
        log.warning("what earlier runs left is still there, signed addresses perhaps too: %s", error)
        return []
    return Leftovers(plans, writes, []).paths()


def _plans(store: ObjectStore) -> Iterator[str]:
    for found in store.list("runs/"):
        parts = found.path.split("/")
        if len(parts) == 4 and parts[2] == "plan" and found.path.endswith(".parquet"):
            yield found.path


def _run_of(path: str) -> str:
    return path.split("/")[1]


def _writes(store: ObjectStore, now: datetime) -> Iterator[UnfinishedWrite]:
    for folder in FOLDERS:
        yield from store.unfinished(folder, now - timedelta(seconds=STALE_S))
