"""Rows whose photos may not be fetched are refused by the plan, under the key that the fetch would have used."""

from dataclasses import replace
from pathlib import Path

import pytest
from planning import RECIPE, Desk, row

from idgen.config import SourcesConfig
from idgen.manifest.verdicts import Force
from idgen.sources.fetch import Fetcher
from idgen.sources.precheck import Precheck

FINE, FORBIDDEN = "s3://photos/1.jpg", "gs://photos/1.jpg"


@pytest.fixture
def strict(desk: Desk) -> Desk:
    config = SourcesConfig(schemes=["s3", "file"])
    desk.more["foresee"] = lambda folder: Precheck(Fetcher(config, extra_roots=[folder]))
    return desk


def test_a_forbidden_row_is_refused_once_and_left_alone_then(strict: Desk):
    rows = [row(1, reference_uri=FINE), row(2, reference_uri=FORBIDDEN, num_images=2)]
    first = strict.plan(rows)
    assert (first.to_make, first.refused, first.refused_new) == (1, {"uri_forbidden": 2}, 2)
    strict.make()
    balance, results, _ = strict.results()
    assert (balance.ok, balance.rejected) == (1, 2)
    assert {item["status"] for item in results if item["row_id"] == "row-2"} == {"rejected"}
    second = strict.plan(rows)
    assert (second.to_make, second.refused, second.refused_new) == (0, {}, 0)
    assert second.skipped == {"ok": 1, "rejected": 2}


def test_what_the_fetch_refused_before_is_left_as_it_is(strict: Desk):
    foresee = strict.more.pop("foresee")
    rows = [row(1, reference_uri=FORBIDDEN)]
    strict.plan(rows)
    strict.make(lambda picture: "no_face")  # a rejection of stage faces
    strict.more["foresee"] = foresee
    again = strict.plan(rows)
    assert (again.skipped, again.refused) == ({"rejected": 1}, {})


def test_a_rerun_after_the_setting_was_mended_makes_it(strict: Desk):
    rows = [row(1, reference_uri=FORBIDDEN)]
    strict.plan(rows)
    strict.make()
    force = Force(codes=["uri_forbidden"])
    still = strict.plan(rows, force=force)
    assert (still.to_make, still.refused_new) == (0, 1), "the rerun did not make it, and its exit code says so"
    assert strict.plan(rows).refused_new == 0
    del strict.more["foresee"]
    assert strict.plan(rows, force=force).to_make == 1


def test_a_retriable_failure_that_is_forbidden_now_is_refused_for_good(strict: Desk):
    foresee = strict.more.pop("foresee")
    rows = [row(1, reference_uri=FORBIDDEN)]
    strict.plan(rows)
    strict.make(lambda picture: "fetch_failed")
    strict.more["foresee"] = foresee
    assert strict.plan(rows).refused_new == 1
    strict.make()
    assert strict.plan(rows).skipped == {"rejected": 1}


def test_one_that_was_rejected_long_before_it_failed_is_refused_as_well(strict: Desk):
    foresee = strict.more.pop("foresee")
    rows = [row(1, reference_uri=FORBIDDEN)]
    strict.plan(rows)
    strict.make(lambda picture: "no_face")
    strict.plan(rows, force=Force(codes=["no_face"]))
    strict.make(lambda picture: "fetch_failed")
    strict.more["foresee"] = foresee
    assert strict.plan(rows).refused_new == 1
    strict.make()
    assert strict.plan(rows).skipped == {"rejected": 1}


def test_any_image_of_a_row_is_judged_and_equal_rows_end_alike(strict: Desk):
    init = {"init_image_uri": FORBIDDEN, "strength": 0.5}
    strict.recipes = {"faceid": replace(RECIPE, columns=[*RECIPE.columns, "init_image_uri"])}
    rows = [row(1, reference_uri=FINE, **init), row(1, row_id="twin", reference_uri=FINE, **init)]
    plan = strict.plan(rows)
    assert (plan.to_make, plan.duplicates, plan.refused) == (0, 0, {"uri_forbidden": 2})


def test_local_photos_that_are_not_here_are_told_and_made_all_the_same(strict: Desk):
    (strict.folder / "here.jpg").write_bytes(b"photo")
    rows = [row(number, reference_uri=name) for number, name in enumerate(("here.jpg", "gone.jpg", "gone.jpg"))]
    plan = strict.plan(rows)
    assert plan.to_make == 3
    (warning,) = plan.warnings
    assert (warning.code, warning.pictures, warning.row_id) == ("photo_missing", 2, "row-1")
    assert warning.text.startswith("1 of the photos")
    assert str(Path(strict.folder, "gone.jpg")) in warning.text
