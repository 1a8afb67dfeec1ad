"""The exit code: a bug first, then a stop, then too many failures."""

from dataclasses import replace
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from idgen.columns import IMAGES
from idgen.config import Config, RunConfig
from idgen.driver.finish import check_licences, exit_code
from idgen.driver.gallery import _addresses
from idgen.errors import Exit, RunError
from idgen.manifest.balance import Balance
from idgen.recipes.recipe import Licence, Recipe

RUN = SimpleNamespace(config=Config(run=RunConfig(max_failed_fraction=0.25)))
STOPPED = SimpleNamespace(exit_code=Exit.STOPPED, faults=("wrong file",))
WENT_ON = SimpleNamespace(exit_code=None, faults=())
FAULTY = SimpleNamespace(exit_code=None, faults=("wrong file",))


def balance(**counts):
    names = ("ok", "rejected", "failed", "skipped", "unfinished")
    filled = {name: counts.get(name, 0) for name in names}
    return Balance(asked=counts.get("asked", sum(filled.values())), codes={}, **filled)


def plan(refused=0, refused_new=0):
    return SimpleNamespace(refused={"bad_value": refused} if refused else {}, refused_new=refused_new)


@pytest.mark.parametrize(
    ("counts", "work", "expected"),
    [
        ({"ok": 10}, WENT_ON, Exit.OK),
        ({"skipped": 10}, None, Exit.OK),
        ({}, None, Exit.OK),
        ({"ok": 3, "failed": 1}, WENT_ON, Exit.OK),
        ({"ok": 2, "rejected": 1, "failed": 1}, WENT_ON, Exit.TOO_MANY_FAILED),
        ({"skipped": 100, "failed": 1}, WENT_ON, Exit.TOO_MANY_FAILED),
        ({"ok": 5, "unfinished": 5}, STOPPED, Exit.STOPPED),
        ({"ok": 9, "failed": 1}, FAULTY, Exit.USAGE),
        ({"ok": 5, "unfinished": 5}, WENT_ON, Exit.BUG),
        ({"ok": 5, "asked": 6}, STOPPED, Exit.BUG),
    ],
)
def test_exit_code(counts, work, expected):
    assert exit_code(RUN, plan(), balance(**counts), work) == expected


def test_rows_refused_before_do_not_fail_a_second_run():
    assert exit_code(RUN, plan(refused=9), balance(skipped=1, rejected=9), None) == Exit.OK
    assert exit_code(RUN, plan(refused=9, refused_new=9), balance(skipped=1, rejected=9), None) == Exit.TOO_MANY_FAILED


@pytest.mark.parametrize(
    ("most", "held", "expected"),
    [(1.0, 10, Exit.OK), (0.5, 5, Exit.OK), (0.5, 6, Exit.TOO_MANY_FAILED), (0.0, 1, Exit.TOO_MANY_FAILED)],
)
def test_a_run_may_end_over_pictures_that_gates_hold(most, held, expected):
    run = SimpleNamespace(config=Config(run=RunConfig(max_held_fraction=most)))
    assert exit_code(run, plan(), replace(balance(ok=10, skipped=90), held=90, held_new=held), WENT_ON) == expected


def test_a_commercial_run_refuses_research_weights_before_anything_starts():
    free = Recipe(name="free", licence=Licence(name="apache-2.0", commercial_use=True))
    research = Recipe(name="research", licence=Licence(name="research only"))
    run = SimpleNamespace(config=Config(run=RunConfig(commercial=True)), recipes={"free": free, "research": research})
    check_licences(run, SimpleNamespace(recipes={"free": 3}, settled={}))
    with pytest.raises(RunError, match="research only") as caught:
        check_licences(run, SimpleNamespace(recipes={"free": 3, "research": 1}, settled={}))
    assert caught.value.exit_code == Exit.REFUSED


def test_the_gallery_gets_the_full_addresses_of_all_that_the_shown_rows_are_made_of(tmp_path):
    pq.write_table(pa.table({"key": ["a", "b", "c"]}), tmp_path / "results.parquet")
    asked = {name: pa.nulls(4, pa.string()) for name in IMAGES} | {
        "key": ["a", "b", "c", "d"],
        "reference_uris": [["s3://face"], [], None, ["s3://not-shown"]],
        "mask_image_uri": ["https://mask?sig=2", None, None, "s3://not-shown"],
        "ip_adapter_image_uri": ["s3://look", "https://look?sig=1", None, "s3://not-shown"],
    }
    pq.write_table(pa.table(asked), tmp_path / "asked.parquet")
    assert _addresses(SimpleNamespace(config=Config(), scratch=tmp_path)) == {
        "a": {
            "reference_uris": ["s3://face"],
            "mask_image_uri": ["https://mask?sig=2"],
            "ip_adapter_image_uri": ["s3://look"],
        },
        "b": {"reference_uris": [], "ip_adapter_image_uri": ["https://look?sig=1"]},
        "c": {"reference_uris": []},
    }
