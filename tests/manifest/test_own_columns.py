"""The shop's own columns: of every type that Parquet holds and of any name, from the plan to the results."""

import decimal
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from planning import Desk, row

from idgen.errors import Exit, RunError
from idgen.manifest.results import write_results
from idgen.outputs.ledger import ledger_files

SIGNED, BARE = "https://cdn.example/a.jpg?sig=secret&v=1", "https://cdn.example/a.jpg?v=1"
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
}
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


@pytest.mark.parametrize("name", TYPES)
def test_a_column_of_any_type_reaches_the_results_as_it_is(desk: Desk, name: str):
    manifest = put(desk, own=TYPES[name])
    written = pq.read_table(manifest)["own"]
    desk.plan(manifest)
    desk.make(lambda picture: "fetch_failed")
    for table in finish(desk):
        found = table["own"]
        assert len(found) == 2
        if name in ("struct", "map_of_texts", "view", "large", "dictionary", "json"):
            assert "secret" not in str(found)
            assert BARE in str(found)
        else:
            assert found.cast(written.type).equals(written)


def test_columns_of_all_types_at_once_and_a_condition_on_one(desk: Desk):
    some = {name: column for name, column in TYPES.items() if name != "far_moment"}
    desk.plan(put(desk, **some), where="unsigned > 0")
    desk.make()
    results, _ = finish(desk)
    assert results.num_rows == 1
    assert {*some} <= {*results.schema.names}


@pytest.mark.parametrize("name", NAMES)
def test_a_column_of_any_name_reaches_the_results(desk: Desk, name: str):
    desk.plan(put(desk, **{name: pa.array(["v1", "v2"])}), where="prompt <> ''")
    desk.make(lambda picture: "fetch_failed")
    results, failed = finish(desk)
    assert results.column(results.num_columns - 1).to_pylist() == ["v1", "v2"]
    if name.strip():
        assert failed[name].to_pylist() == ["v1", "v2"]
    assert len({column.casefold() for column in results.schema.names}) == results.num_columns


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
