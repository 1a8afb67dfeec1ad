"""Manifests of many files, as Spark, DuckDB and pandas leave them."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from planning import Desk, row, write_manifest

from idgen.errors import Exit, RunError
from idgen.manifest.reading import stage


@pytest.fixture
def folder(desk: Desk) -> Path:
    return desk.folder / "parts"


def put(folder: Path, name: str, **columns: pa.Array) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), folder / name)


def text(*cells: str | None) -> pa.Array:
    return pa.array(cells, pa.string())


def part(folder: Path, name: str, *ids: str, **more: pa.Array) -> None:
    put(folder, name, row_id=text(*ids), reference_uri=text(*["s3://p/1.jpg"] * len(ids)), prompt=text(*ids), **more)


def refusal(desk: Desk, folder: Path) -> str:
    with pytest.raises(RunError) as error:
        desk.plan(str(folder))
    assert error.value.exit_code == Exit.USAGE
    return error.value.message


def test_folders_that_are_columns_are_read_as_columns(desk: Desk, folder: Path):
    part(folder, "recipe=faceid/num_inference_steps=20/a.parquet", "a", "b")
    part(folder, "recipe=other/num_inference_steps=30/sku=A%2F1/a.parquet", "c")
    part(folder, "recipe=__HIVE_DEFAULT_PARTITION__/s%65ason=fall=winter/a.parquet", "d")
    desk.plan(str(folder))
    found = {p["row_id"]: (p["recipe"], p["num_inference_steps"], p["sku"], p["carried"]) for p in desk.pictures()}
    assert found == {
        "a": ("faceid", 20, None, "{}"), "b": ("faceid", 20, None, "{}"), "c": ("other", 30, "A/1", "{}"),
        "d": ("faceid", 30, None, '{"season":"fall=winter"}'),
    }  # fmt: skip


def test_folders_are_columns_of_text_files_too(desk: Desk, folder: Path):
    for ending in ("csv", "jsonl"):
        (folder / ending / "recipe=other").mkdir(parents=True)
        write_manifest(folder / ending / "recipe=other" / f"a.{ending}", [row(1)])
        desk.plan(str(folder / ending))
        assert [p["recipe"] for p in desk.pictures()] == ["other"]


def test_a_folder_and_a_file_that_disagree_are_refused(desk: Desk, folder: Path):
    part(folder, "recipe=other/a.parquet", "a", recipe=text("other"))
    part(folder, "recipe=faceid/a.parquet", "b")
    desk.plan(str(folder))
    assert sorted(p["recipe"] for p in desk.pictures()) == ["faceid", "other"]
    part(folder, "recipe=faceid/b.parquet", "c", recipe=text("other"))
    said = refusal(desk, folder)
    assert "recipe=faceid/b.parquet" in said
    assert "its own column recipe has another value" in said
    part(folder / "two", "recipe=faceid/recipe=other/b.parquet", "c")
    assert "set recipe=" in refusal(desk, folder / "two")


def test_a_folder_of_nulls_and_a_file_that_says_a_value_disagree(desk: Desk, folder: Path):
    part(folder, "recipe=__HIVE_DEFAULT_PARTITION__/a.parquet", "a", recipe=text("other"))
    assert "its own column recipe has another value" in refusal(desk, folder)


def test_the_name_of_a_file_gives_no_column(desk: Desk, folder: Path):
    part(folder, "season=fall.parquet", "a")
    desk.plan(str(folder))
    assert [p["carried"] for p in desk.pictures()] == ["{}"]


def test_a_near_miss_of_a_folder_is_one_too(desk: Desk, folder: Path):
    part(folder, "recipes=other/a.parquet", "a")
    assert "did you mean recipe" in refusal(desk, folder)


@pytest.mark.parametrize(
    ("other", "name"),
    [
        ("_delta_log/00000000000000000000.json", "Delta"),
        ("metadata/v1.metadata.json", "Iceberg"),
        ("metadata/version-hint.text", "Iceberg"),
        ("metadata/v1.metadata.json.gz", "Iceberg"),
        (".hoodie/hoodie.properties", "Hudi"),
    ],
)
def test_tables_whose_files_also_hold_removed_rows_are_refused_by_name(desk: Desk, folder: Path, other: str, name: str):
    part(folder, "a.parquet", "a")
    (folder / other).parent.mkdir(parents=True)
    (folder / other).write_text("{}")
    said = refusal(desk, folder)
    assert name in said
    assert "export it" in said


def test_one_part_of_a_table_is_refused_by_name_too(desk: Desk, folder: Path):
    part(folder, "recipe=other/sku=1/a.parquet", "a")
    desk.plan(str(folder / "recipe=other"))
    for log in ("_delta_log", ".hoodie"):
        (folder / log).mkdir()
        for given in ("recipe=other", "recipe=other/sku=1"):
            assert "table" in refusal(desk, folder / given)
        (folder / log).rmdir()


def test_a_folder_that_gives_no_column_as_it_is_the_given_one_is_told(desk: Desk, folder: Path):
    part(folder, "recipe=other/season=fall/a.parquet", "a")
    for given in (folder / "recipe=other", folder / "recipe=other" / "season=fall" / "a.parquet"):
        (warning,) = desk.plan(str(given)).warnings
        assert (warning.code, warning.pictures, warning.row_id) == ("folder_column", 1, "a")
        assert "recipe=other" in warning.text
        assert "season" not in warning.text
    assert desk.plan(str(folder)).warnings == []
    part(folder, "recipe=other/b.parquet", "b", recipe=text("faceid"))  # says it itself
    assert desk.plan(str(folder / "recipe=other" / "b.parquet")).warnings == []


def test_parts_whose_types_clash_are_named_with_the_column(desk: Desk, folder: Path):
    part(folder, "a.parquet", "a", size=pa.array([1]))
    part(folder, "b.parquet", "b", size=text("M"))
    said = refusal(desk, folder)
    assert "column size is int64 in a.parquet and string in b.parquet" in said
    part(folder, "b.parquet", "b", size=pa.array([[1]]))
    assert "column size" in refusal(desk, folder)


def test_differences_that_lose_nothing_are_unified(desk: Desk, folder: Path):
    zones = [pa.array([0], pa.timestamp("ms", zone)) for zone in ("UTC", "Europe/Berlin")]
    part(folder, "a.parquet", "a", at=zones[0], size=pa.array([1], pa.int32()), kind=text("x"), sku=text("1"))
    words = {"kind": text("y").dictionary_encode(), "sku": text("2").dictionary_encode()}
    part(folder, "b.parquet", "b", at=zones[1], size=pa.array([2**40]), **words)
    part(folder, "c.parquet", "c", at=pa.array([0], pa.timestamp("us", "Asia/Tokyo")), size=pa.array([0.5]))
    part(folder, "d.parquet", "d", at=pa.nulls(1))
    staged = stage(str(folder), desk.folder)
    assert {name: str(staged.schema.field(name).type) for name in ("at", "size", "kind")} == {
        "at": "timestamp[us, tz=UTC]", "size": "double", "kind": "string",
    }  # fmt: skip
    found = pq.read_table(staged.path).to_pydict()
    assert found["size"] == [1.0, 2.0**40, 0.5, None]
    assert found["kind"] == ["x", "y", None, None]
    assert found["sku"] == ["1", "2", None, None]


def test_values_that_do_not_fit_the_common_type_are_told_with_file_and_column(desk: Desk, folder: Path):
    part(folder, "a.parquet", "a", size=pa.array([0.5]))
    part(folder, "b.parquet", "b", size=pa.array([2**53 + 1]))
    assert "b.parquet: column size has values that do not fit double" in refusal(desk, folder)
    part(folder / "two", "num_inference_steps=many/a.parquet", "a")
    part(folder / "two", "b.parquet", "b", num_inference_steps=pa.array([20]))
    said = refusal(desk, folder / "two")
    assert "num_inference_steps=many/a.parquet: column num_inference_steps has values" in said


def test_a_part_without_rows_has_no_say(desk: Desk, folder: Path):
    none = pa.array([], pa.float64())
    for place in ("a", "c"):  # before and behind the part that has rows
        put(folder, f"{place}.parquet", row_id=none, reference_uri=none, prompt=none, size=none)
    part(folder, "b.parquet", "b", size=text("M"))
    part(folder, "d.parquet", "d", size=text("L"))
    desk.plan(str(folder))
    assert sorted(p["carried"] for p in desk.pictures()) == ['{"size":"L"}', '{"size":"M"}']
    (folder / "texts").mkdir()
    write_manifest(folder / "texts" / "a.csv", [row(1)])
    (folder / "texts" / "b.csv").write_bytes(b"")
    desk.plan(str(folder / "texts"))
    assert len(desk.pictures()) == 1


def test_a_broken_part_is_named(desk: Desk, folder: Path):
    part(folder, "a.parquet", "a")
    (folder / "deep").mkdir()
    (folder / "deep" / "b.parquet").write_bytes(b"")
    assert "deep/b.parquet" in refusal(desk, folder)
    folder = folder / "texts"
    folder.mkdir()
    write_manifest(folder / "a.csv", [row(1)])
    (folder / "b.csv").write_bytes("prompt\nMädchen\n".encode("cp1252"))
    assert "b.csv: the text is not UTF-8" in refusal(desk, folder)
