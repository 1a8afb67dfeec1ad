"""Decisions on the pictures of a desk."""

import itertools
from datetime import UTC, datetime, timedelta

from planning import Desk, Row

from idgen.reviews.decisions import Decision, add_decisions
from idgen.reviews.seen_pictures import on_pictures

_minutes = itertools.count()


def decide(desk: Desk, word: str, *pictures: Row, by: str = "mara", reason: str = "") -> None:
    """Record what somebody decided about pictures as they are now, each time a minute later than the time before."""
    when = datetime.now(UTC) + timedelta(minutes=next(_minutes))
    decisions = [
        Decision(key=one["key"], row_id=one["row_id"], decision=word, reason=reason, decided_at=when)
        for one in pictures
    ]
    known, _ = on_pictures(desk.store, decisions)
    assert add_decisions(desk.store, known, by) == len(decisions)
