"""Tries in a plan: in the key only where a gate can hold a picture, and told where none can."""

from dataclasses import replace

import pytest
from planning import Desk, row

GATED = {"face_similarity": {"reject": 0.3}}


def gated(desk: Desk, gates=GATED):
    desk.config = replace(desk.config, gates=gates)
    return desk


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl"])
def test_tries_that_nothing_asks_for_are_told_and_change_no_key(desk: Desk, ending):
    desk.plan([row(1, seed=1), row(2, seed=2)])
    before = desk.keys()
    summary = desk.plan([row(1, seed=1, tries=4), row(2, seed=2, tries=1)], ending=ending)
    assert [(one.code, one.pictures, one.row_id) for one in summary.warnings] == [("tries_unused", 1, "row-1")]
    assert desk.keys() == before


def test_tries_under_a_gate_are_another_picture_and_nothing_is_told(desk: Desk):
    desk.plan([row(1, seed=1)])
    before = desk.keys()
    assert gated(desk).plan([row(1, seed=1, tries=4)]).warnings == []
    (asked,) = desk.pictures()
    assert asked["tries"] == 4
    assert asked["key"] not in before
    desk.plan([row(1, seed=1)])
    assert desk.keys() == before, "a gate alone is in no key"


def test_a_changed_bound_makes_rows_with_tries_again_and_no_others(desk: Desk):
    rows = [row(1, seed=1, tries=4), row(2, seed=2)]
    gated(desk).plan(rows)
    desk.make()
    assert desk.plan(rows).to_make == 0
    assert gated(desk, {"face_similarity": {"reject": 0.3, "warn": 0.5}}).plan(rows).to_make == 0
    assert gated(desk, {"face_similarity": {"reject": 0.31}}).plan(rows).to_make == 1


def test_another_file_of_a_judge_that_decides_makes_them_again(desk: Desk):
    judged = {"judge_similarity": {"reject": 0.3}}
    rows = [row(1, seed=1, tries=4), row(2, seed=2)]
    desk.more = {"networks": {"judge": "a" * 64, "safety": "b" * 64}}
    gated(desk, judged).plan(rows)
    desk.make()
    desk.more = {"networks": {"judge": "a" * 64, "safety": "c" * 64}}
    assert desk.plan(rows).to_make == 0
    desk.more = {"networks": {"judge": "d" * 64}}
    assert desk.plan(rows).to_make == 1


def test_a_picture_whose_budget_ended_is_left_to_the_next_run_however_often(desk: Desk):
    rows = [row(1, seed=1, tries=4)]
    gated(desk)
    for _ in range(5):
        assert desk.plan(rows).to_make == 1
        desk.make(lambda picture: "extra_budget_spent")
        assert desk.retries() == [], "this run has no further try to give"


def test_results_have_the_seed_that_made_the_picture(desk: Desk):
    gated(desk).plan([row(1, seed=1, tries=4), row(2, seed=2)])
    desk.make(seed=lambda picture: picture["seed"] + 70)
    _, results, _ = desk.results()
    assert [one["seed"] for one in results] == [71, 72]
