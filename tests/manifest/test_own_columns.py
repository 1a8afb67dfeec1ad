"""The shop's own columns: of every type that Parquet holds and of any name, from the plan to the results."""

import decimal
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from planning import Desk, row

from idgen.errors import Exit, RunError
from idgen.manifest.own_columns import cast_column, change_texts, plain_part
from idgen.manifest.results import write_results
from idgen.outputs.ledger import ledger_files

SIGNED, BARE = "https://cdn.example/a.jpg?sig=secret&v=1", "https://cdn.example/a.jpg?v=1"
UUIDS = pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"\1" * 16, b"\2" * 16], pa.binary(16)))
TYPES: dict[str, pa.Array] = {
    "map": pa.array([[("a", 1), ("a", 2)], None], pa.map_(pa.string(), pa.int64())),
    "map_of_texts": pa.array([[("a", SIGNED)], []], pa.map_(pa.string(), pa.string())),
    "struct": pa.array([{"a": SIGNED, "b": {"c": [SIGNED, None]}}, None]),
    "names": pa.StructArray.from_arrays([pa.array([1, 2]), pa.array([3, 4])], ["a", "A"]),
    "no_name": pa.StructArray.from_arrays([pa.array([1, 2])], [""]),
    "list": pa.array([["x", None], []]),
    "large_list": pa.array([["x"], None], pa.large_list(pa.string())),
    "fixed_list": pa.array([["x", "y"], None], pa.list_(pa.string(), 2)),
    "far_day": pa.array([4_000_000, -2_000_000], pa.date32()),
    "far_moment": pa.array([10**17, None], pa.timestamp("ms")),
    "far_inside": pa.array([[{"a": 4_000_000}], None], pa.list_(pa.struct([("a", pa.date32())]))),
    "zone": pa.array([1, None], pa.timestamp("ns", "Europe/Berlin")),
    "time": pa.array([1, None], pa.time64("ns")),
    "duration": pa.array([1, None], pa.duration("ns")),
    "decimal": pa.array([decimal.Decimal("1.50"), None], pa.decimal256(60, 2)),
    "bytes": pa.array([b"\xff", None]),
    "view": pa.array([SIGNED, None], pa.string_view()),
    "large": pa.array([SIGNED, None], pa.large_string()),
    "dictionary": pa.array([SIGNED, None]).dictionary_encode(),
    "json": pa.ExtensionArray.from_storage(pa.json_(), pa.array([json.dumps(SIGNED), None])),
    "uuid": pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"\1" * 16, None], pa.binary(16))),
    "half": pa.array([1.5, None], pa.float16()),
    "unsigned": pa.array([2**64 - 1, None], pa.uint64()),
    "nothing": pa.nulls(2),
    "far_zone": pa.array([10**17, None], pa.timestamp("ms", "UTC")),
    "map_far": pa.array([[("a", 4_000_000)], None], pa.map_(pa.string(), pa.date32())),
    "long": pa.array([2**62, None], pa.duration("s")),
    "bool": pa.array([True, None]),
    "time32": pa.array([1, None], pa.time32("ms")),
    "fixed": pa.array([b"\xff\xfe", None], pa.binary(2)),
    "binary_view": pa.array([b"\xff", None], pa.binary_view()),
    "list_view": pa.array([["x", None], None], pa.list_view(pa.string())),
    "large_list_view": pa.array([["x"], []], pa.large_list_view(pa.string())),
    "list_of_maps": pa.array([[[("a", 1)]], None], pa.list_(pa.map_(pa.string(), pa.int64()))),
    "list_of_uuid": pa.ListArray.from_arrays(pa.array([0, 1, 2], pa.int32()), UUIDS),  # as DuckDB's UUID[]
    "map_of_uuid": pa.MapArray.from_arrays(pa.array([0, 1, 2], pa.int32()), pa.array(["a", "b"]), UUIDS),
    "struct_of_uuid": pa.StructArray.from_arrays([UUIDS], ["a"]),
    "tensor": pa.ExtensionArray.from_storage(
        pa.fixed_shape_tensor(pa.int32(), [2]), pa.array([[1, 2], [3, 4]], pa.list_(pa.int32(), 2))
    ),
    "opaque": pa.ExtensionArray.from_storage(pa.opaque(pa.string(), "x", "y"), pa.array([SIGNED, None])),
}
SECRET = ("struct", "map_of_texts", "view", "large", "dictionary", "json", "opaque")
NAMES = [
    "", "  ", 'a"b', "a'b", "a.b", "a\nb", "x" * 300, "é", "SELECT", "key", "Status", "position", "c", "%s", "{x}", "*",
    "ordinal", "row", "manifest_status", "first",
]  # fmt: skip


def put(desk: Desk, **own: pa.Array) -> str:
    base = pa.Table.from_pylist([row(1), row(2)])
    for name, column in own.items():
        base = base.append_column(name, column)
    pq.write_table(base, desk.folder / "m.parquet")
    return str(desk.folder / "m.parquet")


def finish(desk: Desk) -> tuple[pa.Table, pa.Table]:
    write_results(
        desk.store, desk.run_id, ledger_files=ledger_files(desk.store), scratch=desk.scratch,
        signature_parameters=desk.config.sources.signature_parameters, memory_mb=256,
    )  # fmt: skip
    return desk.table("results.parquet"), desk.table("failed.parquet")


def test_columns_of_all_types_reach_the_results_as_they_are(desk: Desk):
    manifest = put(desk, **TYPES)
    written = pq.read_table(manifest)
    desk.plan(manifest)
    desk.make(lambda picture: "fetch_failed")
    for table in finish(desk):
        for name in TYPES:
            assert table[name].is_null().to_pylist() == written[name].is_null().to_pylist()
            if name in SECRET:
                assert "secret" not in str(table[name])
                assert BARE in str(table[name])
            else:
                type_ = plain_part(written[name].type)
                found, wanted = (cast_column(t[name].combine_chunks(), type_) for t in (table, written))
                assert found.equals(wanted), name
            if name in ("uuid", "tensor"):
                assert table[name].type == written[name].type


def test_texts_are_changed_in_parts_of_columns_too():
    for column in (TYPES["list"], TYPES["map_of_texts"], pa.array([["a"], ["b", None], None])):
        changed = change_texts(column, lambda cell: cell + "!")
        assert change_texts(column.slice(1), lambda cell: cell + "!").equals(changed.slice(1))


def test_a_condition_on_one_column_asks_nothing_of_the_others(desk: Desk):
    """DuckDB can take no column with a moment after the year 294246, not even along."""
    desk.plan(put(desk, **TYPES), where="unsigned > 0")
    assert [picture["row_id"] for picture in desk.pictures()] == ["row-1"]
    with pytest.raises(RunError, match=r"select\.where: Conversion") as error:
        desk.plan(put(desk, **TYPES), where="far_moment > '2020-01-01'")
    assert error.value.exit_code == Exit.USAGE


def test_text_that_is_not_utf8_is_refused_with_its_column(desk: Desk):
    offsets = pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0")
    text = pa.Array.from_buffers(pa.string(), 2, [None, offsets, pa.py_buffer(b"\xffa")])
    for column in (text, pa.StructArray.from_arrays([text], ["a"])):
        with pytest.raises(RunError, match=r"m\.parquet: column own has text that is not UTF-8") as error:
            desk.plan(put(desk, own=column))
        assert error.value.exit_code == Exit.USAGE


def test_columns_of_any_names_reach_the_results(desk: Desk):
    columns = {name: pa.array([f"{n}", f"{n}b"]) for n, name in enumerate(NAMES)}
    desk.plan(put(desk, **columns), where="prompt <> ''")
    desk.make(lambda picture: "fetch_failed")
    results, failed = finish(desk)
    own = results.select(range(results.num_columns - len(NAMES), results.num_columns))
    assert [column.to_pylist() for column in own] == [[f"{n}", f"{n}b"] for n in range(len(NAMES))]
    assert [failed[name][0].as_py() for name in NAMES if name.strip()] == [
        f"{n}" for n, name in enumerate(NAMES) if name.strip()
    ]
    assert len({column.casefold() for column in results.schema.names}) == results.num_columns


def test_made_names_are_free_ones(desk: Desk):
    (desk.folder / "m.jsonl").write_text(json.dumps(row(1) | {" ": 1}))
    desk.plan(str(desk.folder / "m.jsonl"))
    assert [picture["carried"] for picture in desk.pictures()] == ['{"unnamed":"1"}']
    desk.plan(put(desk, unnamed_5=pa.array([1, 2]), **{"": pa.array([3, 4])}))
    carried = [picture["carried"] for picture in desk.pictures()]
    assert carried == ['{"unnamed_5":1,"unnamed_5_":3}', '{"unnamed_5":2,"unnamed_5_":4}']


def test_a_name_with_a_nul_is_refused(desk: Desk):
    (desk.folder / "m.jsonl").write_text(json.dumps(row(1) | {"a\0b": 1}))
    with pytest.raises(RunError, match="NUL") as error:
        desk.plan(str(desk.folder / "m.jsonl"))
    assert error.value.exit_code == Exit.USAGE


@pytest.mark.slow
def test_own_columns_stay_with_their_rows(desk: Desk):
    """Many batches, rows left out, several pictures of some."""
    rows = [row(n, own=f"own {n}", num_images=1 + n % 3) for n in range(40_000)]
    desk.plan(rows, where="CAST(substr(row_id, 5) AS INT) % 7 = 1")
    results, failed = finish(desk)
    assert [f"own {name[4:]}" for name in results["row_id"].to_pylist()] == results["own"].to_pylist()
    assert results.num_rows == sum(1 + n % 3 for n in range(40_000) if n % 7 == 1)
    assert failed["own"].to_pylist() == [f"own {n}" for n in range(40_000) if n % 7 == 1]


def test_results_are_a_manifest_again_and_again(desk: Desk):
    manifest = put(desk, status=pa.array(["a", "b"]), manifest_status=pa.array(["c", "d"]))
    for _ in range(4):
        desk.plan(manifest)
        desk.make()
        results, _ = finish(desk)
        assert len({name.casefold() for name in results.schema.names}) == results.num_columns
        kept = [results[name].to_pylist() for name in results.schema.names if name.endswith("status")]
        assert ["a", "b"] in kept
        assert ["c", "d"] in kept
        manifest = str(desk.folder / f"again-{desk.run_id}.parquet")
        pq.write_table(results, manifest)


def test_folders_on_the_way_give_no_columns(tmp_path: Path):
    """A temporary folder may be called anything."""
    folder = tmp_path / "season=x" / "prompt=y" / "a[1]"
    folder.mkdir(parents=True)
    desk = Desk(folder)
    desk.plan([row(1, season="fall"), row(2, season="spring")], where="season = 'fall'")
    assert [picture["prompt"] for picture in desk.pictures()] == ["look 1"]
    desk.make(lambda picture: "fetch_failed")
    for table in finish(desk):
        assert table["season"].to_pylist() == ["fall"]
        assert table["prompt"].to_pylist() == ["look 1"]
