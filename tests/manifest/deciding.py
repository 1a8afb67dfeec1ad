"""Decisions on the pictures of a desk."""

import itertools
from datetime import UTC, datetime, timedelta

from planning import Desk, Row

from idgen.reviews.decisions import Decision, add_decisions

_minutes = itertools.count()


def decide(desk: Desk, word: str, *pictures: Row, by: str = "mara", reason: str = "") -> None:
    """Record what somebody decided about pictures, each time a minute later than the time before."""
    when = datetime(2026, 11, 1, tzinfo=UTC) + timedelta(minutes=next(_minutes))
    decisions = [
        Decision(key=one["key"], row_id=one["row_id"], decision=word, reason=reason, decided_at=when)
        for one in pictures
    ]
    assert add_decisions(desk.store, decisions, by) == len(decisions)
