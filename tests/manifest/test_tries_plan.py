"""Tries in a plan: in the key only where a gate can hold a picture, and told where none can."""

from dataclasses import replace

import pytest
from deciding import decide
from planning import RECIPE, RECIPES, Desk, row

from idgen.checks.config import ChecksConfig, WhiteGroundConfig
from idgen.manifest.verdicts import Force

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


WHITE = {"ground_white_fraction": {"reject": 0.9}}


def on_white(desk: Desk, shots=("packshot",), **more):
    checks = ChecksConfig(white_ground=WhiteGroundConfig(shots=list(shots)))
    desk.config = replace(desk.config, checks=checks, **more)
    return desk


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl"])
def test_of_two_equal_rows_one_of_which_asks_for_white_each_is_a_picture_of_its_own(desk: Desk, ending):
    same = {"reference_uri": "s3://photos/1.jpg", "prompt": "x", "tries": 4}
    rows = [row(1, shot="street", **same), row(2, shot="packshot", **same), row(3, **same)]
    summary = on_white(desk, gates=WHITE).plan(rows, ending=ending)
    assert (summary.to_make, summary.duplicates) == (2, 1), "the street and no label are one"
    assert {picture["shot"] for picture in desk.pictures()} == {"street", "packshot"}
    assert len({picture["seed"] for picture in desk.pictures()}) == 2


def test_a_shot_that_asks_for_white_no_longer_makes_its_rows_with_tries_again_and_no_others(desk: Desk):
    rows = [row(1, shot="packshot", tries=4), row(2, shot="packshot"), row(3, shot="street", tries=4)]
    on_white(desk, gates=WHITE).plan(rows)
    desk.make()
    assert desk.plan(rows).to_make == 0
    assert on_white(desk, ("packshot", "detail")).plan(rows).to_make == 0
    assert on_white(desk, ()).plan(rows).to_make == 1


def test_a_recipe_that_asks_for_white_makes_its_rows_with_tries_again_where_the_ground_decides(desk: Desk):
    rows = [row(1, tries=4), row(2)]
    asking = {"faceid": replace(RECIPE, white_ground=True)}
    for gates, again in ((GATED, 0), (WHITE, 1)):
        desk.recipes = RECIPES
        gated(desk, gates).plan(rows)
        desk.make()
        desk.recipes = asking
        assert desk.plan(rows).to_make == again


@pytest.mark.parametrize("rank_by", ["ground_deviation", "face_similarity"])
def test_white_is_in_the_key_where_the_ground_decides_or_ranks_and_nowhere_else(desk: Desk, rank_by):
    desk.recipes = {"faceid": replace(RECIPE, rank_by=rank_by)}
    rows = [row(1, shot="packshot", tries=4)]
    gated(desk).plan(rows)
    keys = desk.keys()
    on_white(desk).plan(rows)
    assert (desk.keys() == keys) is (rank_by == "face_similarity")


def test_an_order_of_another_shot_is_another_picture_where_the_ground_decides(desk: Desk):
    rows = [row(1, seed=5, shot="street", tries=4)]
    on_white(desk, gates=WHITE).plan(rows)
    desk.make()
    decide(desk, "rejected", *desk.pictures())
    desk.plan(rows, force=Force(cells={"shot": "packshot"}))
    (white,) = desk.pictures()
    same = {**rows[0], "seed": white["seed"]}
    desk.plan([{**same, "row_id": "a", "shot": "packshot"}, {**same, "row_id": "b"}])
    assert {one["row_id"]: one["key"] == white["key"] for one in desk.pictures()} == {"a": True, "b": False}


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
