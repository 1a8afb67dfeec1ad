"""Of a large run the page holds what every row needs; files beside it hold the rest and let nothing else in."""

import json
import re

import pytest
from make_run import RUN, SUMMARY, product_row, row, write_run
from test_gallery import HOSTILE, Page, unpacked, values

from idgen.config import ReportConfig
from idgen.report import page_data
from idgen.report.gallery import write_report
from idgen.report.page_columns import ALL, INDEX, WHOLE

ROWS = 150


@pytest.fixture
def large(tmp_path, monkeypatch):
    """A store with a report in files, its rows, and a function from a file's name to its data."""
    rows = [row(n) for n in range(ROWS)]
    rows[70] = product_row(70, prompt=HOSTILE[1], warnings=HOSTILE, detail=HOSTILE[5], verdict="held")
    store = write_run(tmp_path, rows, SUMMARY)
    small = Page(store.get(write_report(store, RUN, ReportConfig())).decode())
    monkeypatch.setattr(page_data, "WHOLE_RUN_ROWS", 100)
    page = Page(store.get(write_report(store, RUN, ReportConfig())).decode())

    def read(name):
        text = store.get(f"runs/{RUN}/report/{name}").decode()
        found = re.fullmatch(r'idgenData\("([a-z0-9_/.]+)",("(?:[^"\\]|\\.)*")\)', text)
        assert found, f"{name} is more than one call with two texts"
        assert found[1] == name
        assert not set("<>&\u2028\u2029") & set(text)
        return json.loads(json.loads(found[2]))

    return small, page, read


def test_page_and_files_together_say_what_the_page_of_a_small_run_says(large):
    small, page, read = large
    assert set(page.data["columns"]) == set(INDEX)
    pieces = [read(f"details/{n:04d}.js") for n in range(-(-ROWS // page_data.PIECE_ROWS))]
    for name in ALL:
        there = values(small, name)
        if name in INDEX:
            assert values(page, name) == there, name
            continue
        joined = []
        for number, piece in enumerate(pieces):
            count = min(page_data.PIECE_ROWS, ROWS - number * page_data.PIECE_ROWS)
            joined += piece.get(name, [None] * count)
        said = [value for value in there if value not in (None, "", [])]
        assert [value for value in joined if value not in (None, "", [])] == said, name
        if name in WHOLE:
            assert unpacked(read(f"columns/{name}.js"), ROWS) == there, name


def test_the_policy_lets_in_only_scripts_with_the_number_of_this_page(large):
    small, page, _ = large
    policies = [
        dict(part.strip().split(" ", 1) for part in a["content"].split(";"))
        for one in (small, page)
        for tag, a in one.tags
        if tag == "meta" and "http-equiv" in a
    ]
    assert re.fullmatch(r"'sha256-[\w+/=]+'", policies[0]["script-src"])
    nonce = re.fullmatch(r"'sha256-[\w+/=]+' 'nonce-([\w-]{24})'", policies[1]["script-src"])[1]
    assert policies[1]["trusted-types"] == "idgen-data"
    assert policies[1]["default-src"] == "'none'"
    carried = [a.get("nonce") for tag, a in page.tags if tag == "script"]
    assert carried == [None, nonce]


def test_each_page_draws_its_own_number(large, tmp_path):
    numbers = set()
    for _ in range(2):
        store = write_run(tmp_path / "again", [row(n) for n in range(101)])
        numbers.add(re.search(rb"'nonce-([\w-]+)'", store.get(write_report(store, RUN, ReportConfig())))[1])
    assert len(numbers) == 2


def test_a_larger_run_than_fits_shows_held_pictures_too(tmp_path):
    rows = [row(n, verdict="held" if n == 2999 else "ok") for n in range(3000) if n % 11 != 10]
    page = Page(
        write_run(tmp_path, rows).get(write_report(write_run(tmp_path, rows), RUN, ReportConfig(max_rows=100))).decode()
    )
    assert page.data["tally"]["held"] == 1 == values(page, "verdict").count("held")
