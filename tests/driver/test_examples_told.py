"""The rows that the terminal names for a code."""

import pyarrow as pa
import pyarrow.parquet as pq

from idgen.driver.examples import examples_of, failed_pictures, refused_rows


def test_the_first_three_of_each_code_are_named_in_the_manifest_s_order():
    rows = [(f"r{n}", "bad_value", f"width {n}") for n in range(5)] + [("x", "no_face", "looked for 1")]
    told = examples_of(rows, {"bad_value": 5, "no_face": 1})
    assert told == {"bad_value": ["r0: width 0", "r1: width 1", "r2: width 2"], "no_face": ["x: looked for 1"]}


def test_no_more_rows_are_read_than_are_named():
    def rows():
        yield from [("a", "bad_value", "1"), ("b", "bad_value", "2")]
        raise AssertionError("read on")

    assert examples_of(rows(), {"bad_value": 2}) == {"bad_value": ["a: 1", "b: 2"]}
    assert examples_of(rows(), {}) == {}


def test_details_are_one_line_without_control_characters_and_not_endless():
    told = examples_of([("a\n", "x", "\x1b[2J\n" + 500 * "y"), ("b", "x", "")], {"x": 2})
    assert [line.isprintable() and len(line) <= 160 for line in told["x"]] == [True]


def test_both_files_are_read(tmp_path):
    (tmp_path / "refused.csv").write_text("row,row_id,image_index,code,detail,what_to_do\n1,a,0,bad_value,width,mend\n")
    assert list(refused_rows(tmp_path)) == [("a", "bad_value", "width")]
    names = ("row_id", "code", "detail", "status")
    rows = [("a", "", "", "ok"), ("b", "no_face", "0 found", "rejected"), ("c", "no_face", "before", "skipped")]
    pq.write_table(
        pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows]), tmp_path / "results.parquet"
    )
    assert list(failed_pictures(tmp_path)) == [("b", "no_face", "0 found")]
