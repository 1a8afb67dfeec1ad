import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from planning import Desk, row

from idgen.errors import CODES, Code

ENDINGS = ["ok", "no_face", "fetch_failed", "internal", "left"]


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(1, 3), st.sampled_from(ENDINGS)), min_size=1, max_size=12))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_picture_asked_for_ends_in_exactly_one_status(tmp_path_factory: pytest.TempPathFactory, asked):
    desk = Desk(tmp_path_factory.mktemp("desk"))
    rows = [
        row(number, row_id=f"id-{i}", num_images=images, width=7 if number == 0 else None)
        for i, (number, images, _) in enumerate(asked)
    ]
    ends = {number: end for number, _, end in reversed(asked)}
    for _ in range(2):
        desk.plan(rows)
        desk.make(lambda picture: ends[int(picture["prompt"].split()[1])])
        balance, results, failed = desk.results()
        assert balance.adds_up
        assert [(item["row_id"], item["image_index"]) for item in results] == [
            (item["row_id"], index) for item in rows for index in range(item["num_images"])
        ]
        assert balance.asked == len(results)
        bad = {item["row_id"] for item in results if (item["ledger_status"] or item["status"]) != "ok"}
        assert [item["row_id"] for item in failed] == [item["row_id"] for item in rows if item["row_id"] in bad]


def test_results_stand_in_the_manifests_order_with_its_own_columns(desk: Desk):
    rows = [row(n, colour=f"c{n}", price=n / 4, status="in stock", sku=f"0{n}") for n in range(30)]
    random.Random(1).shuffle(rows)
    desk.plan(rows)
    desk.make(lambda picture: "no_face" if picture["row_id"] == "row-5" else "ok")
    _, results, _ = desk.results()
    assert [item["row_id"] for item in results] == [item["row_id"] for item in rows]
    table = desk.table("results.parquet")
    assert table.schema.field("price").type == pa.float64()
    for item, asked in zip(results, rows, strict=True):
        assert (item["colour"], item["price"], item["sku"]) == (asked["colour"], asked["price"], asked["sku"])
        assert item["manifest_status"] == "in stock"
        bad = item["row_id"] == "row-5"
        assert item["status"] == ("rejected" if bad else "ok")
        assert item["what_to_do"] == (CODES[Code.NO_FACE].what_to_do if bad else "")
        assert item["image_uri"] == ("" if bad else desk.store.uri(item["image_path"]))


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl"])
def test_failed_parquet_is_a_manifest_of_what_is_not_ok(desk: Desk, ending: str):
    photo = "https://shop.example/p.jpg?X-Amz-Signature=abc&v=2"
    rows = [
        row(0), row(1, reference_uri=photo, sku="0123"),
        row(2, width=7, reference_uri=None, reference_uris=["a.jpg", "b.jpg"]),
        row(3, reference_uri="photos/3.jpg", face_box=[0, 0, 0.5, 0.5], num_images=2, colour="red"),
    ]  # fmt: skip
    desk.plan(rows, ending=ending)
    keys = {(picture["row_id"], picture["image_index"]): picture["key"] for picture in desk.pictures()}
    desk.make(lambda picture: "fetch_failed" if picture["row_id"] in ("row-1", "row-3") else "ok")
    _, _, failed = desk.results()
    assert [item["row_id"] for item in failed] == ["row-1", "row-2", "row-3"]
    assert [item["idgen_code"] for item in failed] == ["fetch_failed", "bad_value", "fetch_failed"]
    assert failed[0]["reference_uri"] == "https://shop.example/p.jpg?v=2"
    assert failed[2]["reference_uri"] == str(desk.folder / "photos/3.jpg")
    filesystem_path = f"{desk.store.root}/runs/{desk.run_id}/failed.parquet"
    summary = desk.plan(filesystem_path)
    assert {(p["row_id"], p["image_index"]): p["key"] for p in desk.pictures()} == {
        name: key for name, key in keys.items() if name[0] != "row-0"
    }
    assert summary.refused == {"bad_value": 1}
    desk.make()
    balance, results, failed = desk.results()
    assert (balance.ok, balance.rejected) == (3, 1)
    assert [name for name in results[0] if name.startswith("idgen_")] == []
    assert [item["sku"] for item in results if item["row_id"] == "row-1"] == ["0123"]
    assert len([name for name in failed[0] if name.startswith("idgen_")]) == 4


def test_pictures_of_a_stopped_run_are_unfinished_and_come_again(desk: Desk):
    rows = [row(number) for number in range(4)]
    desk.plan(rows)
    desk.make(lambda picture: "left" if picture["row_id"] == "row-2" else "ok")
    balance, results, _ = desk.results()
    assert (balance.ok, balance.unfinished, balance.adds_up) == (3, 1, True)
    assert results[2]["status"] == "unfinished"
    assert desk.plan(rows).to_make == 1


def test_codes_are_counted_over_pictures(desk: Desk):
    desk.plan([row(1, num_images=3), row(2, width=1, num_images=2), row(3)])
    desk.make(lambda picture: "no_face" if picture["row_id"] == "row-1" else "ok")
    balance, _, _ = desk.results()
    assert balance.codes == {"bad_value": 2, "no_face": 3}


def test_no_result_holds_a_signature(desk: Desk):
    signed = "https://user:secret@shop.example/p.jpg?X-Amz-Signature=canary&v=2#canary"
    carried = {"link": signed, "links": [signed]}
    desk.plan([row(1, reference_uri=signed, **carried), row(2, reference_uri=signed, width=1, **carried)])
    desk.make(lambda picture: "fetch_failed")
    desk.results()
    for name in ("results.parquet", "failed.parquet", "plan/refused.parquet"):
        text = str(desk.table(name).to_pylist())
        assert "canary" not in text
        assert "secret" not in text


def test_a_manifest_without_rows_gives_empty_results(desk: Desk):
    path = desk.folder / "m.parquet"
    pq.write_table(pa.table({"row_id": pa.array([], pa.string()), "prompt": pa.array([], pa.string())}), path)
    assert desk.plan(str(path)).asked == 0
    balance, results, failed = desk.results()
    assert (balance.asked, results, failed) == (0, [], [])
