import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from planning import Desk, row, write_manifest

from idgen.errors import Exit, RunError
from idgen.manifest.reading import read_staged, stage

ROWS = [
    row(1, sku="0123", seed=7, width=640, ip_adapter_scale=0.5, paste_back=True),
    row(2, reference_uri=None, reference_uris=["a.jpg", "b|c.jpg"], face_box=[0.0, 0.0, 0.5, 0.5]),
    row(3, negative_prompt="", prompt='said "no", left'),
]


def usage(desk: Desk, rows, ending: str = "parquet") -> str:
    with pytest.raises(RunError) as error:
        desk.plan(rows, ending=ending)
    assert error.value.exit_code == Exit.USAGE
    return error.value.message


def test_csv_json_lines_and_parquet_give_equal_keys_and_values(desk: Desk):
    made = {}
    for ending in ("parquet", "csv", "jsonl"):
        rows = ROWS if ending != "csv" else [item for item in ROWS if "negative_prompt" not in item]
        desk.plan(rows, ending=ending)
        made[ending] = {picture["row_id"]: picture for picture in desk.pictures()}
    assert made["parquet"] == made["jsonl"]
    for name, picture in made["csv"].items():
        assert picture == made["parquet"][name]


def test_ids_stay_text(desk: Desk):
    for ending in ("csv", "jsonl", "parquet"):
        desk.plan([row(1, sku="0123", row_id="1e3", shot="true", colour="007")], ending=ending)
        (picture,) = desk.pictures()
        assert (picture["sku"], picture["row_id"], picture["shot"]) == ("0123", "1e3", "true")
        assert json.loads(picture["carried"]) == {"colour": "007"}


def test_numbers_of_json_lines_keep_their_spelling(desk: Desk):
    desk.plan([row(1, sku=10, price=1.10, tags=[1.50], extra={"a": True})], ending="jsonl")
    (picture,) = desk.pictures()
    assert picture["sku"] == "10"
    assert json.loads(picture["carried"]) == {"price": "1.1", "tags": "[1.5]", "extra": '{"a": true}'}


def test_in_csv_an_empty_cell_is_null_and_empty_quotes_are_empty_text(desk: Desk):
    path = desk.folder / "m.csv"
    path.write_text('reference_uri,prompt,negative_prompt\ns3://p/1.jpg,x,\ns3://p/2.jpg,x,""\n')
    desk.plan(str(path))
    assert [p["negative_prompt"] == "" for p in sorted(desk.pictures(), key=lambda p: p["position"])] == [False, True]


def test_a_bad_cell_of_a_text_file_refuses_its_row_only(desk: Desk):
    rows = [row(1), row(2, width="wide"), row(3, seed="1_000"), row(4, paste_back="perhaps"), row(5, face_box="[1")]
    for ending in ("csv", "jsonl"):
        assert desk.plan(rows, ending=ending).refused == {"bad_value": 4}
        assert [picture["row_id"] for picture in desk.pictures()] == ["row-1"]


def test_parts_of_a_folder_may_have_different_columns(desk: Desk, tmp_path: Path):
    folder = tmp_path / "parts"
    (folder / "deep").mkdir(parents=True)
    write_manifest(folder / "a.parquet", [row(1)])
    write_manifest(folder / "deep" / "b.parquet", [row(2, width=640, colour="red")])
    (folder / "_SUCCESS").write_text("")
    desk.plan(str(folder))
    assert {p["row_id"]: (p["width"], p["carried"]) for p in desk.pictures()} == {
        "row-1": (512, "{}"), "row-2": (640, '{"colour":"red"}'),
    }  # fmt: skip


def test_relative_addresses_start_at_the_manifests_own_place(desk: Desk, s3_bucket: str):
    from idgen.stores.opening import open_store

    rows = [
        row(1, reference_uri="photos/a b#1.jpg"),
        row(2, reference_uri="../x.jpg"),
        row(3, reference_uri="/abs/y.jpg"),
    ]
    local = write_manifest(desk.folder / "m.csv", rows)
    desk.plan(local)
    here = desk.folder
    expected = {"row-1": f"{here}/photos/a b#1.jpg", "row-2": f"{here.parent}/x.jpg", "row-3": "/abs/y.jpg"}
    assert {p["row_id"]: p["reference_uris"][0] for p in desk.pictures()} == expected
    open_store(f"s3://{s3_bucket}").put("shop/list/m.csv", Path(local).read_bytes())
    for address in (f"s3://{s3_bucket}/shop/list/m.csv", f"s3://{s3_bucket}/shop/list"):
        desk.plan(address)
        assert {p["row_id"]: p["reference_uris"][0] for p in desk.pictures()} == {
            "row-1": f"s3://{s3_bucket}/shop/list/photos/a b#1.jpg",
            "row-2": f"s3://{s3_bucket}/shop/x.jpg",
            "row-3": "/abs/y.jpg",
        }


def test_gzip_and_byte_order_marks_are_read(desk: Desk):
    for ending in ("csv", "jsonl"):
        plain = Path(write_manifest(desk.folder / f"m.{ending}", ROWS)).read_bytes()
        desk.plan(str(desk.folder / f"m.{ending}"))
        keys = desk.keys()
        (desk.folder / f"z.{ending}.gz").write_bytes(gzip.compress(b"\xef\xbb\xbf" + plain))
        desk.plan(str(desk.folder / f"z.{ending}.gz"))
        assert desk.keys() == keys


def test_a_packed_file_is_whole_or_refused(desk: Desk):
    plain = Path(write_manifest(desk.folder / "m.csv", [row(n) for n in range(300)])).read_bytes()
    packed = gzip.compress(plain)
    path = desk.folder / "z.csv.gz"
    path.write_bytes(gzip.compress(plain[:5000]) + gzip.compress(plain[5000:]))  # two after another are one
    assert desk.plan(str(path)).rows == 300
    for data in (packed[: len(packed) // 2], packed[:-6], packed[:-8] + bytes(8), packed + b"more", plain):
        path.write_bytes(data)
        assert "z.csv.gz is cut off or damaged" in usage(desk, str(path))


def test_the_copy_remembers_where_it_came_from(tmp_path: Path):
    staged = stage(write_manifest(tmp_path / "m.csv", [row(1)]), tmp_path)
    assert read_staged(tmp_path) == staged
    assert (staged.folder, staged.is_text) == (str(tmp_path), True)


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl"])
def test_a_near_miss_is_a_usage_error_that_names_both(desk: Desk, ending: str):
    message = usage(desk, [row(1, guidence_scale="7")], ending)
    assert "guidence_scale" in message
    assert "did you mean guidance_scale" in message


@pytest.mark.parametrize(
    ("name", "type_", "fine"),
    [
        ("sku", pa.int64(), False), ("row_id", pa.int32(), False), ("prompt", pa.binary(), False),
        ("width", pa.float64(), True), ("width", pa.string(), True), ("width", pa.timestamp("us"), False),
        ("seed", pa.uint64(), True), ("guidance_scale", pa.int8(), True), ("guidance_scale", pa.decimal128(5, 2), True),
        ("paste_back", pa.int8(), False), ("prompt", pa.dictionary(pa.int32(), pa.string()), True),
        ("prompt", pa.large_string(), True), ("sku", pa.null(), True), ("reference_uris", pa.list_(pa.int32()), False),
        ("reference_uris", pa.large_list(pa.string()), True), ("face_box", pa.list_(pa.float64(), 4), True),
        ("ip_adapter_scales", pa.struct([("faceid", pa.float32())]), True), ("width", pa.list_(pa.int32()), False),
        ("reference_sha256", pa.string(), True),
    ],
)  # fmt: skip
def test_a_parquet_column_of_a_wrong_type_is_named_before_anything_starts(desk: Desk, name, type_, fine: bool):
    path = desk.folder / "m.parquet"
    pq.write_table(pa.table({"colour": ["red"], "reference_uri": pa.nulls(1), name: pa.nulls(1, type_)}), path)
    if fine:
        assert desk.plan(str(path)).refused == {"missing_value": 1}
        return
    with pytest.raises(RunError, match=rf"column {name} is .*{type_.id and ''}") as error:
        desk.plan(str(path))
    assert error.value.exit_code == Exit.USAGE


def test_whole_floats_are_whole_numbers(desk: Desk):
    """pandas writes integer columns with gaps as floats."""
    path = desk.folder / "m.parquet"
    rows = pa.table(
        {"reference_uri": ["a", "b", "c"], "prompt": ["x", "y", "z"], "width": pa.array([640.0, None, 640.5])}
    )
    pq.write_table(rows, path)
    assert desk.plan(str(path)).refused == {"bad_value": 1}
    assert [p["width"] for p in sorted(desk.pictures(), key=lambda p: p["position"])] == [640, 512]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.csv", b"prompt,prompt\na,b\n", "same name"),
        ("m.csv", b"colour,Colour\na,b\n", "hard to tell apart"),
        ("m.csv", b"prompt,sku\ncanary,b,c\n", "too many or too few"),
        ("m.csv", b"prompt,sku\n\xff\xfe,b\n", "UTF-8"),
        ("m.csv", "prompt,sku\na,b\n".encode("utf-16-le"), "UTF-8"),
        ("m.csv", b"", "cannot be read"),
        ("m.jsonl", b'{"prompt": "a"}\n{"prompt": canary}\n', "line 2"),
        ("m.jsonl", b'["canary"]\n', "line 1"),
        ("m.jsonl", b'{"prompt": "\xff"}\n', "UTF-8"),
        ("m.parquet", b"PAR1 canary", "cannot be read"),
        ("m.xlsx", b"", ".parquet, .csv or .jsonl"),
    ],
)
def test_an_unreadable_manifest_is_a_usage_error_without_its_text(desk: Desk, name, content, message):
    path = desk.folder / name
    path.write_bytes(content)
    said = usage(desk, str(path))
    assert message in said
    assert "canary" not in said


def test_no_manifest_and_a_mixed_folder_are_usage_errors(desk: Desk, tmp_path: Path):
    assert "nothing" in usage(desk, str(tmp_path / "nowhere.csv"))
    folder = tmp_path / "mixed"
    folder.mkdir()
    assert "one kind" in usage(desk, str(folder))
    write_manifest(folder / "a.csv", [row(1)])
    write_manifest(folder / "a.parquet", [row(1)])
    assert "one kind" in usage(desk, str(folder))
