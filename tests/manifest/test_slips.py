"""Cells, columns and selections as people and programs write them by mistake: told before anything starts."""

import json

import pytest
from planning import Desk, row

from idgen.config import SourcesConfig
from idgen.errors import Exit, RunError
from idgen.sources.fetch import Fetcher


def refused(desk: Desk, **cells: object) -> str:
    """The detail of the one refused row."""
    for ending in ("parquet", "csv"):
        assert desk.plan([row(1, **cells), row(2)], ending=ending).refused == {"bad_value": 1}
    return desk.text("plan/refused.csv")


@pytest.mark.parametrize("word", ["nan", "NaN", "NULL", "None", " none ", "<NA>", "#N/A", "undefined"])
def test_words_for_an_empty_cell_are_no_prompt_and_no_address(desk: Desk, word: str):
    for name in ("prompt", "negative_prompt", "reference_uri"):
        assert f"{name}: is only a word" in refused(desk, **{name: word})
    assert desk.plan([row(1, prompt=f"{word} of it", shot=word)]).refused == {}


@pytest.mark.parametrize("number", ["nan", "NULL", "None", "inf"])
def test_words_for_an_empty_cell_are_no_number(desk: Desk, number: str):
    assert desk.plan([row(1, width=number), row(2, guidance_scale=number)], ending="csv").refused == {"bad_value": 2}


@pytest.mark.parametrize("name", ["reference_uri", "reference_uris"])
def test_blanks_around_an_address_are_left_out(desk: Desk, name: str):
    plain = row(1, **{"reference_uri": None, name: ["s3://p/1.jpg"] if name.endswith("s") else "s3://p/1.jpg"})
    desk.plan([plain])
    keys = desk.keys()
    for before, after in ((" ", ""), ("\u00a0", " "), ("  ", "\u3000")):
        wide = f"{before}s3://p/1.jpg{after}"
        desk.plan([plain | {name: [wide] if name.endswith("s") else wide}])
        assert desk.keys() == keys


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("C:\\photos\\a.jpg", "Windows"), ("c:/photos/a.jpg", "Windows"), ("\\\\server\\a.jpg", "Windows"),
        ("//cdn.example.com/a.jpg", "https://"), ("~/a.jpg", "whole path"), ("~ada/a.jpg", "whole path"),
        ("file:a.jpg", "file:///"),
    ],
)  # fmt: skip
def test_what_only_looks_like_an_address_is_refused_with_what_to_write(desk: Desk, address: str, said: str):
    assert said in refused(desk, reference_uri=address)
    desk.make()
    (again,) = desk.results()[2]
    assert again["reference_uri"] == address
    assert said in refused(desk, reference_uri=None, reference_uris=[address])


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
    with pytest.raises(RunError, match="none of its 2 ids"):
        select(desk, b"9\n8", where="row_id < 'row-3'")


@pytest.mark.parametrize("data", [b'"row-1"\n"row-2"', b"row-1,row-2", b"9\n8", b"", b"\n \n"])
def test_a_file_of_ids_that_picks_nothing_is_refused(desk: Desk, data: bytes):
    with pytest.raises(RunError, match="none of its") as error:
        select(desk, data)
    assert error.value.exit_code == Exit.USAGE


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_files_of_ids_are_read_in_their_encoding(desk: Desk, encoding: str):
    assert select(desk, "row-1\r\nrow-2\r\nÄ\r\n".encode(encoding)).to_make == 2


def test_a_file_of_ids_in_an_unknown_encoding_is_refused_in_one_line(desk: Desk):
    with pytest.raises(RunError, match="not UTF-8") as error:
        select(desk, "Mädchen\n".encode("cp1252"))
    assert error.value.exit_code == Exit.USAGE


def test_an_unreadable_file_of_ids_is_refused_in_one_line(desk: Desk):
    with pytest.raises(RunError, match=r"select\.file") as error:
        desk.plan([row(1)], file=str(desk.folder))
    assert error.value.exit_code == Exit.USAGE
