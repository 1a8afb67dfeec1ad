import threading
import time

import pytest

from idgen.errors import Code, RowError
from idgen.sources.prefetch import Prefetch


class Store:
    """Answers with the name's bytes; counts."""

    def __init__(self, answers=None, wait_s=0.002):
        self.answers = answers or {}
        self.wait_s = wait_s
        self.asked = []

    def fetch(self, uri):
        self.asked.append(uri)
        time.sleep(self.wait_s)
        answer = self.answers.get(uri, uri.encode())
        if isinstance(answer, Exception):
            raise answer
        return answer


def fetched(files, groups, should_stop=lambda: False):
    uris = {name: f"u/{name}" for group in groups for name in group}
    return [
        (names, [f if isinstance(f, RowError) else f.decode() for f in got])
        for names, got in files.fetched(groups, uris, should_stop)
    ]


def test_groups_come_in_their_order_with_all_their_files():
    groups = [("a",), ("b", "m"), ("c",), ("a", "m")]
    assert fetched(Prefetch(Store(), 2), groups) == [(g, [f"u/{name}" for name in g]) for g in groups]


@pytest.mark.parametrize("threads", [1, 8])
def test_a_file_of_many_groups_is_fetched_once(threads):
    store = Store()
    files = Prefetch(store, threads)
    groups = [(f"photo-{n}", "mask") for n in range(40)] + [("photo-3", "other mask")]
    assert len(fetched(files, groups)) == 41
    assert len(store.asked) == len(set(store.asked)) == files.fetches == 42


def test_the_next_call_remembers_files_up_to_a_bound(monkeypatch):
    monkeypatch.setattr("idgen.sources.prefetch.REMEMBERED_BYTES", 9)
    store = Store()
    files = Prefetch(store, 1)
    fetched(files, [("a",), ("b",), ("c",), ("d",)])
    fetched(files, [("d",), ("c",), ("b",)])
    assert files.fetches == 4
    fetched(files, [("a",)])
    assert files.fetches == 5


def test_a_file_that_failed_is_tried_once_a_call_and_again_in_the_next():
    store = Store({"u/m": RowError(Code.FETCH_TIMEOUT, "slow"), "u/bug": KeyError("secret")})
    files = Prefetch(store, 1)
    got = fetched(files, [(f"p{n}", "m") for n in range(10)] + [("bug",)])
    assert {group[1].code for _, group in got[:-1]} == {Code.FETCH_TIMEOUT}
    assert (got[-1][1][0].code, got[-1][1][0].detail) == (Code.INTERNAL, "fetch: KeyError")
    assert store.asked.count("u/m") == 1
    fetched(files, [("m",)])
    assert store.asked.count("u/m") == 2


def test_nothing_is_fetched_far_ahead_of_the_work():
    store = Store(wait_s=0)
    files = Prefetch(store, 3)
    uris = {f"{n}": f"u/{n}" for n in range(60)}
    for worked, _ in enumerate(files.fetched([(name,) for name in uris], uris, lambda: False), start=1):
        time.sleep(0.005)
        assert len(store.asked) <= worked + 2 * 3


def test_a_stop_is_heard_while_the_second_file_of_a_group_hangs():
    hanging = threading.Event()

    class Half:
        def fetch(self, uri):
            if uri == "u/m":
                hanging.wait(20)
            return b""

    began = time.monotonic()
    try:
        assert fetched(Prefetch(Half(), 2), [("a", "m")], lambda: time.monotonic() - began > 0.2) == []
    finally:
        hanging.set()
    assert time.monotonic() - began < 3
