"""What rerun makes again: forced pictures, and no others."""

import pytest
from planning import Desk, row

from idgen.errors import Exit, RunError
from idgen.manifest.verdicts import Force, check_force


def test_rerun_makes_what_a_status_or_code_names_and_nothing_else(desk: Desk):
    rows = [row(number) for number in range(4)]
    desk.plan(rows)
    desk.make(lambda picture: {"row-1": "no_face", "row-2": "internal"}.get(picture["row_id"], "ok"))
    for force, expected in (
        (Force(codes=["no_face"]), {"row-1"}),
        (Force(statuses=["failed"]), {"row-2"}),
        (Force(statuses=["ok"], codes=["internal"]), {"row-0", "row-2", "row-3"}),
        (Force(everything=True), {"row-0", "row-1", "row-2", "row-3", "row-9"}),
        (Force(), set()),
    ):
        summary = desk.plan([*rows, row(9)], force=force)
        assert {picture["row_id"] for picture in desk.pictures()} == expected
        assert summary.asked == summary.to_make == len(expected)


def test_a_limit_counts_the_pictures_that_are_forced(desk: Desk):
    rows = [row(number) for number in range(8)]
    desk.plan(rows)
    desk.make(lambda picture: "internal" if picture["row_id"] in ("row-3", "row-5", "row-7") else "ok")
    for force, expected in (
        (Force(statuses=["failed"]), {"row-3", "row-5"}),
        (Force(everything=True), {"row-0", "row-1"}),
    ):
        summary = desk.plan(rows, force=force, limit=2)
        assert {picture["row_id"] for picture in desk.pictures()} == expected
        assert summary.asked == 2
    balance, results, _ = desk.results()
    assert balance.asked == len(results) == 2


@pytest.mark.parametrize(
    ("force", "message"),
    [
        (
            Force(codes=["no_face", "reference_mising"]),
            r"rerun\.code: .*'reference_mising'.*mean reference_missing",
        ),
        (Force(codes=["NO_FACE"]), "did you mean no_face"),
        (Force(statuses=["faild"]), r"rerun\.status: .*'faild'.*did you mean failed"),
        (Force(statuses=["xyzzy"]), "it must be one of ok, rejected, failed"),
        (Force(statuses=["skipped"]), r"rerun\.status"),
    ],
)
def test_a_status_or_code_that_is_none_is_a_usage_error_that_names_the_nearest(desk: Desk, force, message):
    for check in (check_force, lambda wrong: desk.plan([row(1)], force=wrong)):
        with pytest.raises(RunError, match=message) as error:
            check(force)
        assert error.value.exit_code == Exit.USAGE
