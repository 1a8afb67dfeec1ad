"""Both stores, one set of promises: every test runs on a local folder and on a real S3 server."""

import contextlib
import errno
import os
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from idgen.stores import exclusive_names
from idgen.stores.local import LocalStore
from idgen.stores.protocol import ObjectExists, ObjectMissing, StoreError


def test_what_was_put_comes_back_whole(store):
    data = os.urandom(1_500_000)
    store.put("images/ab/x.png", data, content_type="image/png")
    assert store.get("images/ab/x.png") == data
    found = store.head("images/ab/x.png")
    assert (found.path, found.bytes) == ("images/ab/x.png", 1_500_000)
    assert found.modified.utcoffset().total_seconds() == 0


def test_a_second_put_replaces_the_first(store):
    store.put("a", b"one")
    store.put("a", b"two")
    assert store.get("a") == b"two"


def test_an_empty_object_is_an_object(store):
    store.put("a", b"")
    assert store.get("a") == b""
    assert store.head("a").bytes == 0


def test_what_is_missing_says_so(store):
    assert store.head("no/such") is None
    with pytest.raises(ObjectMissing):
        store.get("no/such")
    with pytest.raises(ObjectMissing):
        store.copy("no/such", "b")
    store.delete(["no/such"])
    assert list(store.list("")) == []


def test_a_folder_is_no_object(store):
    store.put("a/b", b"x")
    assert store.head("a") is None
    with pytest.raises(ObjectMissing):
        store.get("a")


def test_list_takes_any_prefix_in_the_order_of_the_paths(store):
    paths = ["a/b/1", "a/b/10", "a/b-c", "a/b.txt", "ab/2", "b", "ä/ö ü+&%2e"]
    for path in reversed(paths):
        store.put(path, path.encode())

    def listed(prefix):
        return [found.path for found in store.list(prefix)]

    in_order = sorted(paths, key=str.encode)
    assert listed("") == in_order
    for prefix in ("a/", "a", "a/b", "a/b/", "a/b/1", "ä", "zz", "a/b/1/", "b/c/d"):
        assert listed(prefix) == [path for path in in_order if path.startswith(prefix)], prefix
    assert store.get("ä/ö ü+&%2e") == "ä/ö ü+&%2e".encode()


def test_list_goes_over_the_page_of_a_thousand(store):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: store.put(f"p/{n:05}", b"x"), range(1030)))
    assert [found.path for found in store.list("p/")] == [f"p/{n:05}" for n in range(1030)]
    store.delete(f"p/{n:05}" for n in range(1, 1030))
    assert [found.path for found in store.list("")] == ["p/00000"]


def test_copy_is_a_copy(store):
    store.put("a", b"one", content_type="image/png")
    store.put("named/x.png", b"old")
    store.copy("a", "named/x.png")
    store.put("a", b"two")
    assert store.get("named/x.png") == b"one"


def test_put_file_is_a_put(store, tmp_path):
    source = tmp_path / "big"
    source.write_bytes(os.urandom(9 * 2**20))  # over boto3's threshold of 8 MiB: several parts
    store.put_file("deep/er/big", source)
    assert store.get("deep/er/big") == source.read_bytes()
    assert [found.path for found in store.list("")] == ["deep/er/big"]


def test_of_eight_writers_at_once_exactly_one_wins(store):
    for race in range(20):
        gate = threading.Barrier(8)

        def write(number, path=f"lease-{race}", gate=gate):
            gate.wait()
            try:
                store.put(path, b"writer %d" % number, if_absent=True)
            except ObjectExists:
                return None
            return number

        with ThreadPoolExecutor(8) as pool:
            winners = [number for number in pool.map(write, range(8)) if number is not None]
        assert len(winners) == 1
        assert store.get(f"lease-{race}") == b"writer %d" % winners[0]


def test_of_eight_writers_exactly_one_wins_where_the_file_system_has_no_hard_links(tmp_path, monkeypatch):
    def no_links(*_):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    store = LocalStore(tmp_path)
    for name in ("one", "two", "three"):
        wins = []

        def write(number, name=name, wins=wins):
            with contextlib.suppress(ObjectExists):
                store.put(name, f"writer {number}".encode(), if_absent=True)
                wins.append(number)

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(write, range(8)))
        assert len(wins) == 1
        assert store.get(name) == f"writer {wins[0]}".encode()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "three", "two"]


def test_a_writer_that_died_while_it_held_a_name_without_hard_links_stops_nobody(tmp_path, monkeypatch):
    def no_links(*_):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    monkeypatch.setattr(exclusive_names, "_GUARD_S", 0.2)
    store = LocalStore(tmp_path)
    monkeypatch.setattr(Path, "replace", lambda *_: os._exit(9))
    child = os.fork()
    if not child:
        store.put("a", b"dead", if_absent=True)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    monkeypatch.undo()
    monkeypatch.setattr(os, "link", no_links)
    monkeypatch.setattr(exclusive_names, "_GUARD_S", 0.2)
    store.put("a", b"alive", if_absent=True)
    assert store.get("a") == b"alive"


def test_a_file_where_a_folder_must_be_is_neither_missing_nor_there(tmp_path):
    store = LocalStore(tmp_path)
    store.put("d.png", b"x")
    for call in (
        lambda: store.put("d.png/e.png", b"y"),
        lambda: store.put("d.png/e.png", b"y", if_absent=True),
        lambda: store.put("d.png/deep/er.png", b"y", if_absent=True),
        lambda: store.copy("d.png", "d.png/e.png"),
    ):
        with pytest.raises(StoreError, match="a file where a folder of this path must be") as caught:
            call()
        assert type(caught.value) is StoreError


def test_if_absent_with_the_same_bytes_is_our_own_earlier_try(store):
    store.put("a", b"mine", if_absent=True)
    store.put("a", b"mine", if_absent=True)
    with pytest.raises(ObjectExists):
        store.put("a", b"other", if_absent=True)
    assert store.get("a") == b"mine"


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "../x",
        "a/../../x",
        "a/./b",
        "a//b",
        "a/",
        "a\\..\\x",
        "a\0b",
        "a\nb",
        "\u202egnp.x",
        "x" * 901,
    ],
)
def test_no_path_leaves_the_store(store, path, tmp_path):
    for call in (
        lambda: store.put(path, b"x"),
        lambda: store.get(path),
        lambda: store.head(path),
        lambda: store.delete([path]),
        lambda: store.copy(path, "b"),
        lambda: store.uri(path),
    ):
        with pytest.raises(ValueError, match="not a path inside a store"):
            call()
    assert list(store.list("")) == []
    assert not (tmp_path / "x").exists()


def test_percent_signs_are_plain_characters(store):
    store.put("%2e%2e/x", b"1")
    assert [found.path for found in store.list("")] == ["%2e%2e/x"]


def test_a_store_travels_to_another_process(store):
    store.put("a", b"1")
    other = pickle.loads(pickle.dumps(store))
    assert other.root == store.root
    assert other.get("a") == b"1"


def test_pyarrow_reads_what_was_put(store, tmp_path):
    table = pa.table({"n": [1, 2, 3]})
    for name in ("a", "b"):
        pq.write_table(table, tmp_path / name)
        store.put(f"ledger/parts/{name}.parquet", (tmp_path / name).read_bytes())
    filesystem, root = store.filesystem()
    dataset = ds.dataset(f"{root}/ledger/parts", filesystem=filesystem, format="parquet")
    assert dataset.count_rows() == 6
    assert store.filesystem()[0] is store.filesystem()[0] or store.root.startswith("/")


def test_uri_is_what_a_person_can_open(store):
    store.put("a/b", b"1")
    assert store.uri("a/b") == f"{store.root}/a/b"


def test_delete_of_a_folder_does_nothing(store):
    store.put("a/b", b"1")
    store.delete(["a"])
    assert store.get("a/b") == b"1"
