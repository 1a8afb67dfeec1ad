"""A damaged ledger file is named and set aside, whatever broke in it; the store's own faults are no damage."""

import pytest
from doubles.pictures import finished, picture
from doubles.publishing import publish

from idgen.outputs.compaction import compact
from idgen.outputs.ledger import LedgerUnreadableError, ledger_files
from idgen.outputs.ledger_damage import DAMAGED_DIR, damaged_files, set_aside
from idgen.outputs.verify import verify
from idgen.stores.protocol import StoreError


def cut(data):
    return data[: len(data) // 2]


def zeroed(data):
    """As a disk that lost its power leaves a file."""
    return data[: len(data) // 4] + bytes(len(data) // 2) + data[-len(data) // 4 :]


def turned(data):
    return data[:100] + bytes(byte ^ 0x55 for byte in data[100 : len(data) // 3]) + data[len(data) // 3 :]


def emptied(data):
    return b""


def replaced(data):
    return b"<html>not found</html>" * 100


@pytest.fixture
def catalogue(store):
    for number in range(4):
        publish(store, [picture(number)], [finished(number)], run_id=f"run-{number}")
    return store


def merge(store):
    return compact(store, "next")


@pytest.mark.parametrize(
    ("harm", "read"),
    [(cut, verify), (cut, merge), (zeroed, verify), (turned, merge), (emptied, verify), (replaced, verify)],
)
def test_a_damaged_part_is_named_and_set_aside_and_the_others_stay(catalogue, harm, read):
    hit = ledger_files(catalogue)[1]
    catalogue.put(hit, harm(catalogue.get(hit)))
    with pytest.raises(LedgerUnreadableError):
        read(catalogue)
    damaged = damaged_files(catalogue)
    assert [file.path for file in damaged] == [hit]
    set_aside(catalogue, damaged)
    assert damaged_files(catalogue) == []
    assert catalogue.head(DAMAGED_DIR + "parts/run-1/s-0-0.parquet")
    found = verify(catalogue)
    assert (found.checked, len(found.orphans)) == (3, 1)
    assert compact(catalogue, "next")
    assert verify(catalogue).checked == 3


def test_a_sound_ledger_has_no_damage(catalogue):
    assert damaged_files(catalogue) == []
    compact(catalogue, "next")
    assert damaged_files(catalogue) == []


def test_a_merged_file_says_that_it_held_many_runs(catalogue):
    path = compact(catalogue, "next")
    catalogue.put(path, cut(catalogue.get(path)))
    (file,) = damaged_files(catalogue)
    assert "put a copy of it back first" in file.text()


def test_a_store_that_is_away_is_no_damage(catalogue, monkeypatch):
    class Away:
        def open_input_stream(self, path):
            raise OSError("connection reset")

    monkeypatch.setattr(catalogue, "filesystem", lambda: (Away(), ""))
    with pytest.raises(StoreError, match="connection reset"):
        damaged_files(catalogue)
