"""Decisions of people on finished pictures: accepted or rejected, why, who, when. Of each picture the newest counts.

reviews/decisions/<stamp>-<hash>.parquet: one file per review, never changed.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from idgen.reviews.files import add_file, read_files
from idgen.stores.protocol import ObjectStore

FOLDER = "reviews/decisions/"
ACCEPTED, REJECTED = DECISIONS = ("accepted", "rejected")
MAX_REASON_CHARS = 500

DECISION_ROWS = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("row_id", pa.string(), nullable=False),
        pa.field("decision", pa.string(), nullable=False),  # accepted | rejected
        pa.field("reason", pa.string(), nullable=False),
        pa.field("decided_at", pa.timestamp("us", tz="UTC"), nullable=False),  # the date of decisions.csv
        pa.field("decided_by", pa.string(), nullable=False),
        pa.field("recorded_at", pa.timestamp("us", tz="UTC"), nullable=False),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One line of decisions.csv."""

    key: str
    row_id: str
    decision: str
    reason: str
    decided_at: datetime


def add_decisions(store: ObjectStore, decisions: Iterable[Decision], by: str) -> int:
    """Record those that are not recorded yet and return how many that are. Raises StoreError.

    Call it under the lease. The same decision twice is one, whoever brings it the second time.
    """
    known = {(row["key"], row["decision"], row["reason"], row["decided_at"]) for row in _all(store).to_pylist()}
    new = []
    for one in decisions:
        told = (one.key, one.decision, one.reason, one.decided_at)
        if told not in known:
            known.add(told)
            new.append(one)
    if new:
        now = datetime.now(UTC)
        rows = [{**asdict(one), "decided_by": by, "recorded_at": now} for one in new]
        name = f"{now:%Y%m%dT%H%M%S.%fZ}-{_digest(new)}"
        add_file(store, f"{FOLDER}{name}.parquet", pa.Table.from_pylist(rows, schema=DECISION_ROWS))
    return len(new)


def decided_since(store: ObjectStore, moment: datetime) -> bool:
    """Return whether decisions were recorded after `moment`, by the store's clock. Raises StoreError."""
    return any(found.modified >= moment for found in store.list(FOLDER))


def newest_decisions(store: ObjectStore) -> pa.Table:
    """Return the decision that counts of each picture (DECISION_ROWS): the newest date, then the last recorded.

    Raises StoreError.
    """
    rows = _all(store).sort_by([("key", "ascending"), ("decided_at", "descending"), ("recorded_at", "descending")])
    keys = rows["key"].combine_chunks()
    if len(rows) < 2:
        return rows
    first = pc.not_equal(keys[1:], keys[:-1])
    return rows.filter(pa.concat_arrays([pa.array([True]), first]))


def _all(store: ObjectStore) -> pa.Table:
    return read_files(store, FOLDER, DECISION_ROWS)


def _digest(decisions: Iterable[Decision]) -> str:
    text = "\n".join(f"{one.key} {one.decision} {one.decided_at.isoformat()} {one.reason}" for one in decisions)
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()
