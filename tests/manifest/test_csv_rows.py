"""CSV files as shops have them: every row of the file is a row here, or the file is refused by its line."""

import csv
import io
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from planning import Desk

from idgen.errors import Exit, RunError
from idgen.manifest.csv_rows import CsvError, check_row, csv_rows
from idgen.manifest.reading import read_staged, stage

HEAD = "row_id,reference_uri,prompt\n"


def made(desk: Desk, text: str | bytes, name: str = "m.csv") -> list[dict]:
    path = desk.folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    desk.plan(str(path))
    return sorted(desk.pictures(), key=lambda picture: picture["position"])


def refusal(desk: Desk, text: str | bytes) -> str:
    with pytest.raises(RunError) as error:
        made(desk, text)
    assert error.value.exit_code == Exit.USAGE
    return error.value.message


def rows(count: int, **last: str) -> str:
    """A file of `count` rows; `last` gives the last cell of some, by number from 1."""
    cells = {int(name.removeprefix("row")): cell for name, cell in last.items()}
    return HEAD + "".join(f"r{n},s3://p/{n}.jpg,{cells.get(n, f'look {n}')}\n" for n in range(1, count + 1))


def test_a_quote_that_is_never_closed_is_refused_with_its_line(desk: Desk):
    said = refusal(desk, rows(2000, row3='"Oversize blazer'))
    assert "m.csv: line 4" in said
    assert "never closed" in said


@pytest.mark.parametrize("second", ['"Long coat', '"Long coat"', 'Long coat"', '"Long ""coat"'])
def test_two_such_cells_do_not_swallow_the_rows_between(desk: Desk, second: str):
    for last in (50, 4):
        said = refusal(desk, rows(60, **{"row3": '"Oversize blazer', f"row{last}": second}))
        assert "m.csv: line 4" in said


def test_a_swallowed_row_is_seen_in_any_column(desk: Desk):
    text = 'row_id,note,reference_uri,prompt\na,"big,s3://p/1.jpg,x\nb,y,s3://p/2.jpg,z\nc,small",s3://p/3.jpg,z\n'
    assert "line 2" in refusal(desk, text)


@pytest.mark.parametrize("column", range(4))
def test_half_a_row_is_not_swallowed_either(desk: Desk, column: int):
    """A quote that opens in one row and closes in the next: one row would have the beginning of the other's."""
    cells = [["big", "a", "s3://p/1.jpg", "x"], ["small", "b", "s3://p/2.jpg", "y"], ["new", "c", "s3://p/3.jpg", "z"]]
    cells[0][column], cells[1][column] = f'"{cells[0][column]}', f'{cells[1][column]}"'
    text = "note,row_id,reference_uri,prompt\n" + "".join(",".join(row) + "\n" for row in cells)
    assert "line 2" in refusal(desk, text)


def test_rows_are_missed_in_a_file_without_addresses_too():
    swallowed = ["a", "big,1\nb,small,2\nc,small,3\nd,small", "4"]
    with pytest.raises(CsvError, match=r"line 7: .* spans 4 lines"):
        check_row(7, swallowed, ["row_id", "note", "prompt"], ",")
    check_row(7, ["a", "big,1\nb,small", "4"], ["row_id", "note", "prompt"], ",")  # may be meant


NOTES = [
    "soft\nwarm, blue, 3, 4\n1, 1/2 wool, 3, 4",
    "soft\n1,b.jpg\n1,b.jpg,3,4",
    "soft\n1,b.jpg,3,4\nend",
    "so\n1,b,3,4",
]


@pytest.mark.parametrize("note", NOTES)
def test_lines_that_only_look_a_little_like_rows_are_kept(note: str):
    check_row(2, ["a", "s3://p/1.jpg", "x", note], ["row_id", "reference_uri", "prompt", "note"], ",")


def test_a_cell_has_an_end_in_reach(monkeypatch):
    monkeypatch.setattr("idgen.manifest.csv_rows.MAX_CELL_CHARS", 20)
    with pytest.raises(CsvError, match=r"line 1: .* never closed"):
        list(csv_rows(iter(['"a\n', *["b\n"] * 20, '"\n']), ","))


def test_cells_of_several_lines_are_kept_as_they_are(desk: Desk):
    note = 'Wool, soft\nred, blue, green\nsay "hi"\r\n'
    out = io.StringIO()
    csv.writer(out).writerows([["row_id", "reference_uri", "prompt", "note"], ["a", "s3://p/1.jpg", "x", note]])
    desk.folder.joinpath("m.csv").write_text(out.getvalue(), newline="")
    staged = stage(str(desk.folder / "m.csv"), desk.folder)
    assert pq.read_table(staged.path)["note"].to_pylist() == [note]


@pytest.mark.slow
def test_a_line_break_is_kept_wherever_in_the_file_it_lies(tmp_path: Path):
    """Arrow lost half of one at the edges of its blocks of 4 MiB."""
    edge, head, before = 4 * 2**20, "row_id,note\n", 'last,"'
    for offset in range(-5, 5):
        place = edge + offset - len(head) - len(before)
        filler = "".join(f"{n:09d},{'x' * 89}\n" for n in range(place // 100 - 1))
        note = "y" * (place - len(filler)) + "\r\n\r\nend"
        (tmp_path / "m.csv").write_text(f'{head}{filler}{before}{note}"\nafter,z\n', newline="")
        found = pq.read_table(stage(str(tmp_path / "m.csv"), tmp_path).path)["note"].to_pylist()
        assert found[-2:] == [note, "z"]


def test_every_table_that_csv_can_hold_comes_back(tmp_path: Path):
    """Cells of quotes, separators and line breaks in all places; the writer is Python's own."""
    pieces = ["", "a", '"', ",", "\n", "\r\n", '""', ' "b" ', "x,y", "é\u2028"]
    table = [[a, b + c, c] for a in pieces for b in pieces for c in pieces]
    for separator in (",", ";", "\t"):
        out = io.StringIO()
        csv.writer(out, delimiter=separator, quoting=csv.QUOTE_ALL).writerows(table)
        read = [row for _, row in csv_rows(iter(io.StringIO(out.getvalue(), newline="")), separator)]
        assert read == table
        out = io.StringIO()
        csv.writer(out, delimiter=separator).writerows(table)
        read = [row for _, row in csv_rows(iter(io.StringIO(out.getvalue(), newline="")), separator)]
        assert [[cell or "" for cell in row] for row in read] == table


def test_lines_are_numbered_as_an_editor_does():
    found = csv_rows(iter(io.StringIO('a,b\n\n"x\ny",1\r\nc,d', newline="")), ",")
    assert [number for number, _ in found] == [1, 3, 5]
    with pytest.raises(CsvError, match="line 3"):
        list(csv_rows(iter(["a,b\n", "1,2\n", '1,"2" x\n']), ","))


def test_quotes_in_mid_cell_are_text(desk: Desk):
    assert [p["prompt"] for p in made(desk, HEAD + 'a,s3://p/1.jpg,a 5" pipe\n')] == ['a 5" pipe']


def test_quotes_escaped_by_backslashes_are_refused_with_what_to_write(desk: Desk):
    for cell in (r'"said \"no\", left"', r'"\"no\""', r'"a 5\" pipe"'):
        said = refusal(desk, HEAD + f"a,s3://p/1.jpg,{cell}\nb,s3://p/2.jpg,x\n")
        assert "line 2" in said
        assert '("")' in said


def test_a_ragged_row_is_told_with_its_line(desk: Desk):
    for cells in ("b,s3://p/2.jpg", "b,s3://p/2.jpg,red, blue"):
        said = refusal(desk, HEAD + f"a,s3://p/1.jpg,x\n{cells}\n")
        assert "m.csv: line 3 has too many or too few cells" in said


@pytest.mark.parametrize("separator", [";", "\t"])
def test_semicolons_and_tabs_are_read(desk: Desk, separator: str):
    text = f"{HEAD}a,s3://p/1.jpg,x\n".replace(",", separator)
    assert [(p["row_id"], p["prompt"]) for p in made(desk, text)] == [("a", "x")]
    quoted = re.sub(r"(row_id|reference_uri|prompt)", r'"\1"', text).replace("x\n", '"x, y; z"\n')
    assert [(p["row_id"], p["prompt"]) for p in made(desk, quoted)] == [("a", "x, y; z")]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-8"])
def test_files_of_excel_are_read_in_their_encoding(desk: Desk, encoding: str):
    text = f"\ufeff{HEAD}é,s3://p/1.jpg,Mädchen\n".replace(",", "\t")
    assert [(p["row_id"], p["prompt"]) for p in made(desk, text.encode(encoding))] == [("é", "Mädchen")]


def test_blank_rows_are_skipped_and_counted_and_keep_their_number(desk: Desk):
    summary_rows = HEAD + ",,\na,s3://p/1.jpg,x\n,,\n,,\nb,,\n"
    (desk.folder / "m.csv").write_text(summary_rows)
    summary = desk.plan(str(desk.folder / "m.csv"))
    assert (summary.rows, summary.blank_rows, summary.refused) == (2, 3, {"missing_value": 1})
    assert [p["position"] for p in desk.pictures()] == [1]


def test_blank_rows_keep_their_number_over_files(desk: Desk):
    for name in "ab":
        (desk.folder / "parts").mkdir(exist_ok=True)
        (desk.folder / "parts" / f"{name}.csv").write_text(
            f"{HEAD}{name}1,s3://p/1.jpg,{name}\n,,\n{name}2,s3://p/2.jpg,{name}\n"
        )
    desk.plan(str(desk.folder / "parts"))
    assert sorted((p["position"], p["row_id"]) for p in desk.pictures()) == [(0, "a1"), (2, "a2"), (3, "b1"), (5, "b2")]


def test_columns_without_a_name_are_carried_under_a_made_one(desk: Desk):
    (picture,) = made(desk, ",row_id,reference_uri,prompt,,\n0,a,s3://p/1.jpg,x,,7\n")
    assert picture["carried"] == '{"unnamed_1":"0","unnamed_6":"7"}'
    assert read_staged(desk.scratch).schema.names[-2:] == ["unnamed_5", "unnamed_6"]
    desk.make()
    assert desk.results()[1][0]["unnamed_6"] == "7"
