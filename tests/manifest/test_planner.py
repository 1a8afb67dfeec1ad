import csv
import io
import json
import random
import shutil
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from planning import Desk, row, write_manifest

from idgen.config import RunConfig
from idgen.errors import Exit, RunError
from idgen.manifest.verdicts import Force
from idgen.outputs.ledger import ledger_files
from idgen.stores.protocol import StoreError

ROWS = [row(number, num_images=2 if number % 5 == 0 else None) for number in range(20)]


@pytest.mark.slow
@given(st.lists(st.integers(0, 40), min_size=1, max_size=25, unique=True), st.integers(1, 4), st.randoms())
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_reordered_split_and_grown_manifest_keeps_its_keys(numbers, pieces, shuffler: random.Random):
    with TemporaryDirectory() as folder:
        desk = Desk(Path(folder))
        desk.plan([row(number) for number in numbers])
        before = {picture["row_id"]: picture["key"] for picture in desk.pictures()}
        desk.make()
        shuffled = [row(number) for number in [*numbers, 100]]
        shuffler.shuffle(shuffled)
        parts = Path(folder) / "parts"
        parts.mkdir()
        for piece in range(pieces):
            if shuffled[piece::pieces]:
                write_manifest(parts / f"{piece}.parquet", shuffled[piece::pieces])
        summary = desk.plan(str(parts))
        assert [picture["row_id"] for picture in desk.pictures()] == ["row-100"]
        assert summary.skipped == {"ok": len(numbers)}
        _, results, _ = desk.results()
        assert {item["row_id"]: item["key"] for item in results if item["row_id"] != "row-100"} == before


def test_the_second_of_two_equal_plans_makes_nothing(desk: Desk):
    first = desk.plan(ROWS)
    assert (first.asked, first.to_make, first.rows) == (24, 24, 20)
    desk.make()
    second = desk.plan(ROWS)
    assert (second.to_make, second.shards, second.skipped, second.gpu_seconds) == (0, 0, {"ok": 24}, 0.0)
    assert desk.refs() == []


def test_only_rows_that_changed_are_made_again(desk: Desk):
    desk.plan(ROWS)
    desk.make()
    changed = [item | {"prompt": "new"} if item["row_id"] == "row-3" else item for item in ROWS]
    desk.plan(changed)
    assert [(picture["row_id"], picture["prompt"]) for picture in desk.pictures()] == [("row-3", "new")]


def test_asking_for_six_images_instead_of_four_makes_two(desk: Desk):
    desk.plan([row(1, num_images=4)])
    desk.make()
    desk.plan([row(1, num_images=6)])
    assert [picture["image_index"] for picture in desk.pictures()] == [4, 5]


def test_names_formats_and_carried_columns_change_no_key(desk: Desk):
    desk.plan([row(1)])
    keys = desk.keys()
    desk.plan([row(1, row_id="else", sku="7", output_name="a/b", output_format="webp", season="ss27", shot="front")])
    assert desk.keys() == keys


def test_only_retriable_failures_below_the_limit_come_again_with_the_next_attempt(desk: Desk):
    codes = {"row-1": "fetch_failed", "row-2": "internal", "row-3": "no_face"}
    outcome = lambda picture: codes.get(picture["row_id"], "ok")  # noqa: E731
    for attempt in (1, 2, 3):
        desk.plan([row(number) for number in range(5)], run=RunConfig(max_attempts=3))
        made = {picture["row_id"]: picture["attempt"] for picture in desk.pictures()}
        assert made == (dict.fromkeys([f"row-{n}" for n in range(5)], 1) if attempt == 1 else {"row-1": attempt})
        desk.make(outcome)
    summary = desk.plan([row(number) for number in range(5)], run=RunConfig(max_attempts=3))
    assert summary.to_make == 0
    assert summary.skipped == {"failed": 2, "ok": 2, "rejected": 1}


def test_a_later_failure_never_hides_an_ok(desk: Desk, tmp_path: Path):
    desk.plan([row(1)])
    desk.make()
    keys = tmp_path / "keys.txt"
    keys.write_text("\n".join(desk.keys()))
    desk.plan([row(1), row(2)], force=Force(keys_file=str(keys)))
    assert [(picture["row_id"], picture["attempt"]) for picture in desk.pictures()] == [("row-1", 2)]
    desk.make(lambda picture: "fetch_failed")
    balance, results, _ = desk.results()
    assert (results[0]["status"], results[0]["ledger_status"], balance.failed) == ("failed", "ok", 1)
    assert desk.plan([row(1)]).skipped == {"ok": 1}


def test_equal_pictures_are_made_once_and_reported_for_both_rows(desk: Desk):
    summary = desk.plan([row(1, row_id="a"), row(2), row(1, row_id="b", sku="9")])
    assert (summary.asked, summary.to_make, summary.duplicates) == (3, 2, 1)
    assert sorted(picture["row_id"] for picture in desk.pictures()) == ["a", "row-2"]
    desk.make()
    balance, results, _ = desk.results()
    assert [(item["status"], item["duplicate_of"]) for item in results] == [("ok", ""), ("ok", ""), ("ok", "a")]
    assert balance.ok == 3
    assert results[0]["image_uri"] == results[2]["image_uri"] != ""


def test_rows_that_claim_one_id_or_one_name_are_refused_and_stop_nothing(desk: Desk):
    rows = [
        row(0), row(1, row_id="x"), row(2, row_id="x"), row(3, output_name="A"), row(4, output_name="a"),
        row(5, output_name="b", num_images=2), row(6, output_name="b_01"), row(7, output_name="c", num_images=2),
    ]  # fmt: skip
    summary = desk.plan(rows)
    assert summary.refused == {"duplicate_row_id": 2, "duplicate_output_name": 4}
    assert sorted({p["row_id"] for p in desk.pictures()}) == ["row-0", "row-5", "row-7"]
    assert [p["image_index"] for p in desk.pictures() if p["row_id"] == "row-5"] == [0]


def test_a_name_whose_file_would_be_another_names_folder_is_refused_with_it(desk: Desk):
    clash = [("d", None), ("d.png/e", None), ("x/D", "jpeg"), ("x/d.JPG/f/g", None), ("n", None), ("n_01.png/p", None)]
    fine = [("d.png2/e", None), ("d.webp/e", None), ("x.png", None), ("y.png/z", None)]
    rows = [row(n, output_name=name, output_format=kind) for n, (name, kind) in enumerate([*clash, *fine])]
    rows[4]["num_images"] = 2
    summary = desk.plan(rows)
    assert summary.refused == {"duplicate_output_name": 6}
    assert summary.to_make == 5
    refused = [item for item in desk.results()[1] if item["code"]]
    assert {item["row_id"] for item in refused} == {f"row-{n}" for n in range(6)}
    assert {item["image_index"] for item in refused if item["row_id"] == "row-4"} == {1}
    assert "the folder of another's" in refused[0]["detail"]


def test_a_refusal_for_a_name_does_not_speak_for_the_picture(desk: Desk):
    desk.plan([row(1, output_name="a"), row(2, output_name="a")])
    desk.make()
    assert desk.plan([row(1, output_name="a")]).to_make == 1


def test_refused_rows_enter_the_ledger_once_and_the_report_always(desk: Desk):
    rows = [row(1), row(2, width=100), row(3, reference_uri=None)]
    for new in (2, 0):
        summary = desk.plan(rows)
        assert summary.refused == {"bad_value": 1, "missing_value": 1}
        assert summary.refused_new == new
        assert len(desk.text("plan/refused.csv").splitlines()) == 3
        desk.make()
    balance, results, _ = desk.results()
    assert [item["status"] for item in results] == ["skipped", "rejected", "rejected"]
    assert balance.adds_up


def test_equal_refused_rows_all_count_as_new_and_enter_the_ledger_once(desk: Desk):
    rows = [row(number) for number in range(3)] + [row(9, row_id=None, width=1)] * 50
    for new in (50, 0):
        summary = desk.plan(rows)
        assert (summary.refused, summary.refused_new) == ({"bad_value": 50}, new)
        assert desk.table("plan/refused.parquet").num_rows == min(new, 1)
        desk.make()


def test_the_summary_adds_up_with_duplicates_of_every_kind(desk: Desk):
    done = [row(1, row_id="a"), row(1, row_id="b"), row(2)]
    desk.plan(done)
    desk.make()
    summary = desk.plan([*done, row(3, row_id="c"), row(3, row_id="d"), row(4), row(5, width=1)])
    assert (summary.to_make, summary.duplicates, summary.skipped) == (2, 1, {"ok": 3})
    assert summary.asked == summary.to_make + summary.duplicates + 3 + sum(summary.refused.values())


@pytest.mark.parametrize("broken", ["damaged", "gone"])
def test_a_ledger_that_cannot_be_read_is_the_stores_error(desk: Desk, broken: str, monkeypatch: pytest.MonkeyPatch):
    desk.plan([row(1)])
    desk.make()
    (part,) = files = ledger_files(desk.store)
    desk.store.put(part, b"damaged") if broken == "damaged" else desk.store.delete([part])
    monkeypatch.setattr("planning.ledger_files", lambda store: files)
    for read in (desk.results, desk.retries, lambda: desk.plan([row(1)])):
        with pytest.raises(StoreError, match="the ledger"):
            read()


def test_refused_csv_holds_no_formula(desk: Desk):
    desk.plan([row(1, row_id="=cmd|' /C calc'!A0", width=1), row(2, row_id="@x", width=1)])
    cells = list(csv.DictReader(io.StringIO(desk.text("plan/refused.csv"))))
    assert [cell["row_id"][:2] for cell in cells] == ["'=", "'@"]
    assert cells[0]["row"] == "1"


def test_a_selection_changes_no_key(desk: Desk, tmp_path: Path):
    rows = [row(number, sku=f"0{number}", num_inference_steps=20 + number) for number in range(10)]
    desk.plan(rows)
    keys = {picture["row_id"]: picture["key"] for picture in desk.pictures()}
    ids = tmp_path / "ids.txt"
    ids.write_text(f"row-7\n{keys['row-2']}\n\nnobody\n")
    for ending in ("parquet", "csv", "jsonl"):
        for select, expected in (
            ({"limit": 3}, {"row-0", "row-1", "row-2"}),
            ({"where": "sku = '04' OR num_inference_steps > 28 -- all"}, {"row-4", "row-9"}),
            ({"where": "person_id IS NOT NULL"}, set()),
            ({"file": str(ids)}, {"row-2", "row-7"}),
            ({"file": str(ids), "limit": 1}, {"row-2"}),
            ({"where": "sku > '03'", "limit": 2}, {"row-4", "row-5"}),
        ):
            summary = desk.plan(rows, ending=ending, **select)
            assert {p["row_id"]: p["key"] for p in desk.pictures()} == {name: keys[name] for name in expected}
            assert summary.asked == len(expected)


@pytest.mark.parametrize("where", ["colour = 'red'", "sku =", "true); DROP TABLE x; SELECT (1", "1; SELECT 2"])
def test_a_condition_that_is_no_sql_is_a_usage_error(desk: Desk, where: str):
    with pytest.raises(RunError, match=r"select\.where") as error:
        desk.plan(ROWS, where=where)
    assert error.value.exit_code == Exit.USAGE


def test_a_selection_file_that_is_not_there_is_a_usage_error(desk: Desk):
    with pytest.raises(RunError, match=r"select\.file"):
        desk.plan(ROWS, file="/nowhere/ids.txt")


def test_a_second_pass_takes_what_may_be_tried_again(desk: Desk):
    desk.plan([row(number) for number in range(4)], run=RunConfig(max_attempts=2))
    desk.make(lambda picture: {"row-1": "fetch_timeout", "row-2": "internal"}.get(picture["row_id"], "ok"))
    (ref,) = desk.retries()
    assert ref.name == "p2-00000"
    assert [(picture["row_id"], picture["attempt"]) for picture in desk.pictures()] == [("row-1", 2)]
    desk.make(lambda picture: "fetch_timeout")
    assert desk.retries() == []  # two attempts are all it gets
    balance, results, _ = desk.results()
    assert (balance.ok, balance.failed, balance.adds_up) == (2, 2, True)
    assert results[1]["attempt"] == 2


def test_a_run_that_goes_on_under_its_old_name_takes_new_shard_names(desk: Desk):
    desk.plan(ROWS)
    desk.make(lambda picture: "left" if picture["row_id"] == "row-4" else "ok")
    desk.numbers = iter([1])
    shutil.rmtree(desk.scratch)
    summary = desk.plan(ROWS)
    assert (summary.part, summary.to_make) == ("p2", 1)
    assert [ref.name for ref in desk.refs()] == ["p2-00000"]


def test_the_summary_counts_and_estimates(desk: Desk):
    desk.recipes = {name: replace(recipe, seconds_per_picture=3.0) for name, recipe in desk.recipes.items()}
    desk.plan([row(1), row(2, recipe="other"), row(3, recipe="other", lora_scale=0.5), row(4, width=1)])
    summary = json.loads(desk.text("plan/summary.json"))
    assert summary["recipes"] == {"faceid": 1, "other": 2}
    assert summary["gpu_seconds"] == 9.0
    assert len(summary["load_groups"]) == 3
    assert (summary["asked"], summary["to_make"], summary["refused"]) == (4, 3, {"bad_value": 1})


def test_the_same_plan_stands_in_a_bucket(tmp_path: Path, store):
    desk = Desk(tmp_path, store)
    desk.plan(ROWS)
    assert len(desk.keys()) == 24
    desk.make()
    assert desk.plan(ROWS).to_make == 0
    balance, results, _ = desk.results()
    assert balance.skipped == len(results) == 24
