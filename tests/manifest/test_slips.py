"""Cells, columns and selections as people and programs write them by mistake: told before anything starts."""

import csv
import io
import json

import pytest
from planning import Desk, row

from idgen.config import SourcesConfig
from idgen.errors import Exit, RunError
from idgen.sources.fetch import Fetcher

WORDS = ["nan", "NaN", "NULL", "None", " none ", "<NA>", "n/a", "#N/A", "NaT", "undefined"]


def details(desk: Desk) -> dict[str, str]:
    """What is said of each refused row, by row_id."""
    return {line["row_id"]: line["detail"] for line in csv.DictReader(io.StringIO(desk.text("plan/refused.csv")))}


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_words_for_an_empty_cell_are_no_prompt_and_no_address(desk: Desk, ending: str):
    cells = [(name, word) for name in ("prompt", "negative_prompt", "reference_uri") for word in WORDS]
    fine = [row(n, prompt=f"{word} of it", shot=word) for n, word in enumerate(WORDS, len(cells))]
    desk.plan([*(row(n, **{name: word}) for n, (name, word) in enumerate(cells)), *fine], ending=ending)
    said = details(desk)
    assert len(said) == len(cells)
    for n, (name, _) in enumerate(cells):
        assert f"{name}: is a word" in said[f"row-{n}"]


def test_words_for_an_empty_cell_are_no_number(desk: Desk):
    cells = [(name, word) for name in ("width", "guidance_scale") for word in ("nan", "NULL", "None", "inf", "-inf")]
    summary = desk.plan([row(n, **{name: word}) for n, (name, word) in enumerate(cells)], ending="csv")
    assert summary.refused == {"bad_value": len(cells)}


@pytest.mark.parametrize("name", ["reference_uri", "reference_uris"])
def test_blanks_around_an_address_are_left_out(desk: Desk, name: str):
    plain = row(1, **{"reference_uri": None, name: ["s3://p/1.jpg"] if name.endswith("s") else "s3://p/1.jpg"})
    desk.plan([plain])
    keys = desk.keys()
    for before, after in ((" ", ""), ("\u00a0", " "), ("  ", "\u3000")):
        wide = f"{before}s3://p/1.jpg{after}"
        desk.plan([plain | {name: [wide] if name.endswith("s") else wide}])
        assert desk.keys() == keys


ADDRESSES = {
    "C:\\photos\\a.jpg": "Windows", "c:/photos/a.jpg": "Windows", "\\\\server\\a.jpg": "Windows",
    "//cdn.example.com/a.jpg": "https://", "~/a.jpg": "whole path", "~ada/a.jpg": "whole path",
    "file:a.jpg": "file:///",
}  # fmt: skip


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_what_only_looks_like_an_address_is_refused_with_what_to_write(desk: Desk, ending: str):
    rows = [row(n, reference_uri=address) for n, address in enumerate(ADDRESSES)]
    rows += [row(n + 10, reference_uri=None, reference_uris=[address]) for n, address in enumerate(ADDRESSES)]
    assert desk.plan([*rows, row(99)], ending=ending).refused == {"bad_value": len(rows)}
    said = details(desk)
    for n, rule in enumerate(ADDRESSES.values()):
        assert rule in said[f"row-{n}"]
        assert rule in said[f"row-{n + 10}"]
    desk.make()
    again = desk.results()[2]
    assert [line["reference_uri"] for line in again[: len(ADDRESSES)]] == [*ADDRESSES]  # as they were


def test_a_file_uri_of_one_slash_is_a_file(desk: Desk):
    (desk.folder / "a.jpg").write_bytes(b"photo")
    desk.plan([row(1, reference_uri=f"file:{desk.folder}/a.jpg")])
    (picture,) = desk.pictures()
    found = Fetcher(SourcesConfig(), extra_roots=[str(desk.folder)]).fetch(picture["reference_uris"][0])
    assert found == b"photo"


@pytest.mark.parametrize("name", ["m.csv", "m.jsonl"])
def test_a_manifest_without_a_photo_column_is_refused_in_one_line(desk: Desk, name: str):
    path = desk.folder / name
    path.write_text("photo,prompt\na.jpg,x\n" if name == "m.csv" else json.dumps({"photo": "a.jpg", "prompt": "x"}))
    with pytest.raises(RunError, match="no column reference_uri; its columns are photo, prompt") as error:
        desk.plan(str(path))
    assert error.value.exit_code == Exit.USAGE


def test_a_header_alone_is_refused(desk: Desk):
    (desk.folder / "m.csv").write_text("reference_uri,prompt\n,\n")
    with pytest.raises(RunError, match="no rows") as error:
        desk.plan(str(desk.folder / "m.csv"))
    assert error.value.exit_code == Exit.USAGE


def select(desk: Desk, data: bytes, **more: str):
    path = desk.folder / "ids.txt"
    path.write_bytes(data)
    return desk.plan([row(n) for n in range(5)], file=str(path), **more)


def test_ids_that_no_row_has_are_counted_and_shown(desk: Desk):
    summary = select(desk, b"row-1\nrow-9\n\nrow-3\nno\nrow-8\n'row-2'\n")
    assert (summary.to_make, summary.unknown_ids) == (2, 4)
    assert summary.unknown_like == ["row-9", "no", "row-8"]
    assert select(desk, b"row-1").unknown_ids == 0


def test_ids_are_missed_beside_a_condition_too(desk: Desk):
    desk.plan([row(n) for n in range(5)])
    key = next(picture["key"] for picture in desk.pictures() if picture["row_id"] == "row-4")
    summary = select(desk, f"row-1\nrow-4\nrow-9\n{key}\n".encode(), where="row_id < 'row-3'")
    assert (summary.to_make, summary.unknown_like) == (1, ["row-9"])
    assert select(desk, b"row-4", where="row_id < 'row-3'").asked == 0  # it exists
    assert select(desk, key.encode()).unknown_ids == 0
    with pytest.raises(RunError, match="none of its 2 ids"):
        select(desk, b"9\n8", where="row_id < 'row-3'")


@pytest.mark.parametrize("data", [b'"row-1"\n"row-2"', b"row-1,row-2", b"9\n8", b"", b"\n \n"])
def test_a_file_of_ids_that_picks_nothing_is_refused(desk: Desk, data: bytes):
    with pytest.raises(RunError, match="none of its") as error:
        select(desk, data)
    assert error.value.exit_code == Exit.USAGE


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be"])
def test_files_of_ids_are_read_in_their_encoding(desk: Desk, encoding: str):
    assert select(desk, "\ufeffrow-1\r\nrow-2\r\nÄ\r\n".encode(encoding)).to_make == 2


def test_a_file_of_ids_in_an_unknown_encoding_is_refused_in_one_line(desk: Desk):
    with pytest.raises(RunError, match="not UTF-8") as error:
        select(desk, "Mädchen\n".encode("cp1252"))
    assert error.value.exit_code == Exit.USAGE


def test_an_unreadable_file_of_ids_is_refused_in_one_line(desk: Desk):
    with pytest.raises(RunError, match=r"select\.file") as error:
        desk.plan([row(1)], file=str(desk.folder))
    assert error.value.exit_code == Exit.USAGE
