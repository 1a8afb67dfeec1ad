"""A decision is about one image: once a forced rerun put another one under the key, it counts no more, ever."""

from datetime import UTC, datetime, timedelta

import pytest
from deciding import decide
from planning import Desk, row

from idgen.checks.looking import Findings
from idgen.manifest.standing_decisions import standing_decisions
from idgen.manifest.verdicts import Force
from idgen.outputs.compaction import compact
from idgen.outputs.ledger import connect, ledger_files
from idgen.outputs.named import mend
from idgen.outputs.verify import verify
from idgen.reviews.decisions import Decision, add_decisions, newest_decisions
from idgen.reviews.seen_pictures import on_pictures

ROWS = [row(0, output_name="coat")]
FINE, REPLACED = Findings({}, (), "ok"), Findings({}, ("image_replaced: other pixels",), "ok")


def night(desk, content, found=FINE, **how):
    """A whole run whose pictures have this content; the only one it made, or None."""
    desk.pixels = lambda picture: content
    desk.plan(ROWS, **how)
    desk.make(found=lambda picture: found)
    return next(iter(desk.pictures()), None)


def forced(desk, content, found=FINE):
    return night(desk, content, found, force=Force(everything=True))


def told(desk):
    """What the next run's results say of the picture."""
    desk.plan(ROWS)
    balance, (result,), _ = desk.results(publish="accepted")
    return result["decision"], balance.accepted, balance.rejected_by_review


def standing(desk):
    with connect(64, str(desk.folder / "spill")) as connection:
        return standing_decisions(connection, desk.store, ledger_files(desk.store))["decision"].to_pylist()


@pytest.mark.parametrize("word", ["accepted", "rejected"])
def test_a_decision_does_not_come_back_with_a_second_rerun(desk: Desk, word):
    picture = night(desk, b"seen")
    decide(desk, word, picture)
    assert told(desk)[0] == word
    forced(desk, b"other", REPLACED)
    assert told(desk) == ("", 0, 0)
    compact(desk.store, "merge-1")
    forced(desk, b"other")  # equal pixels: nothing is replaced, and no warning tells of it
    compact(desk.store, "merge-2")
    assert told(desk) == ("", 0, 0)
    assert standing(desk) == []
    decide(desk, word, picture)
    assert told(desk)[0] == word
    assert standing(desk) == [word]


def test_a_rerun_with_equal_pixels_or_one_that_fails_changes_no_decision(desk: Desk):
    decide(desk, "accepted", night(desk, b"seen"))
    forced(desk, b"seen")
    assert told(desk)[0] == "accepted"
    desk.plan(ROWS, force=Force(everything=True))
    desk.make(outcome=lambda picture: "internal")
    assert told(desk)[0] == "accepted"
    assert standing(desk) == ["accepted"]


def test_no_other_picture_is_ordered_for_a_rejection_of_an_image_that_is_gone(desk: Desk):
    decide(desk, "rejected", night(desk, b"seen"))
    forced(desk, b"other", REPLACED)
    assert desk.plan(ROWS, force=Force(cells={})).ordered == 0
    assert desk.plan(ROWS).skipped == {"ok": 1}


def test_an_acceptance_of_an_image_that_is_gone_cancels_no_order(desk: Desk):
    picture = night(desk, b"seen")
    decide(desk, "rejected", picture)
    desk.plan(ROWS, force=Force(cells={}))
    decide(desk, "accepted", picture)
    assert desk.plan(ROWS).to_make == 0
    forced(desk, b"other", REPLACED)
    assert desk.plan(ROWS).to_make == 1


def test_what_takes_a_rejected_image_s_place_gets_no_name_before_it_is_accepted(desk: Desk):
    picture = night(desk, b"seen")
    decide(desk, "rejected", picture)
    for found in (REPLACED, FINE):
        forced(desk, b"other", found)
        _, (result,), _ = desk.results(mend=lambda slots: mend(desk.store, slots))
        assert (result["decision"], result["named_path"]) == ("", "")
        assert verify(desk.store, rejected=newest_decisions(desk.store)).names_missing == []
    decide(desk, "accepted", picture)
    desk.plan(ROWS)
    desk.results(mend=lambda slots: mend(desk.store, slots))
    assert desk.store.get("named/coat.png") == b"other"


def test_decisions_from_before_images_were_recorded_count_as_they_did(desk: Desk):
    picture = night(desk, b"seen")
    old = Decision(
        key=picture["key"], row_id="row-0", decision="rejected", reason="", decided_at=datetime(2026, 11, 1, tzinfo=UTC)
    )
    add_decisions(desk.store, [old], "mara")
    forced(desk, b"other", REPLACED)
    assert told(desk) == ("rejected", 0, 1)
    assert standing(desk) == ["rejected"]


def decision(picture, word, when):
    return Decision(key=picture["key"], row_id="row-0", decision=word, reason="", decided_at=when)


def test_a_late_review_is_about_the_image_of_its_date(desk: Desk):
    picture = night(desk, b"seen")
    seen_at = datetime.now(UTC)
    forced(desk, b"other", REPLACED)
    known, outdated = on_pictures(desk.store, [decision(picture, "accepted", seen_at)])
    assert (len(known), outdated) == (1, [])
    add_decisions(desk.store, known, "mara")
    assert told(desk)[0] == ""


def test_of_an_image_that_merged_ledgers_forgot_an_acceptance_is_left_out_and_a_rejection_counts(desk: Desk):
    picture = night(desk, b"seen")
    seen_at = datetime.now(UTC)
    forced(desk, b"other", REPLACED)
    compact(desk.store, "merge-1")
    forced(desk, b"other")
    compact(desk.store, "merge-2")
    both = [decision(picture, word, seen_at) for word in ("accepted", "rejected")]
    known, outdated = on_pictures(desk.store, both)
    assert [one.decision for one in outdated] == ["accepted"]
    assert [(one.decision, one.image_sha256) for one in known] == [("rejected", None)]


def test_a_date_before_the_only_image_is_about_that_image(desk: Desk):
    picture = night(desk, b"seen")
    early = decision(picture, "accepted", datetime.now(UTC) - timedelta(hours=20))
    ((known,), outdated) = on_pictures(desk.store, [early])
    assert known.image_sha256 is not None
    assert outdated == []
