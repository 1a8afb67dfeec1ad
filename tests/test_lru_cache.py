from hypothesis import given
from hypothesis import strategies as st

from idgen.lru_cache import LruCache


def test_what_was_not_used_for_longest_goes_first():
    table = LruCache(len, 10)
    for name in "abc":
        table.put(name, b"123")
    assert table.get("a") == b"123"
    table.put("d", b"1234")
    assert [table.get(name) for name in "abcd"] == [b"123", None, b"123", b"1234"]


def test_an_entry_larger_than_the_cache_is_still_given():
    table = LruCache(len, 3)
    table.put("small", b"12")
    assert table.get_or_make("large", lambda: b"1234") == b"1234"
    assert table.get_or_make("large", lambda: b"made again") == b"1234", "the newest is kept"
    assert [len(table), table.get("small")] == [1, None]
    table.put("small", b"12")
    assert [len(table), table.get("large"), table.get("small")] == [1, None, b"12"]


def test_what_is_made_is_kept_and_not_made_again_until_it_is_forgotten():
    table = LruCache(len, 4)
    for key in "ab":
        table.get_or_make(key, lambda: "xx")
    table.get_or_make("a", lambda: "never made")
    table.get_or_make("c", lambda: "yy")
    assert len(table) == 2
    assert table.get_or_make("a", lambda: "made again") == "xx"
    assert table.get_or_make("b", lambda: "zz") == "zz"
    table.clear()
    assert [len(table), table.get_or_make("a", lambda: "four")] == [0, "four"]


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.binary(max_size=15)), max_size=60))
def test_the_bound_holds_whatever_is_put_but_the_newest_is_kept(puts):
    table, newest = LruCache(len, 12), {}
    for name, value in puts:
        table.put(name, value)
        newest[name] = value
        kept = {key: found for key in "abcdef" if (found := table.get(key)) is not None}
        assert sum(map(len, kept.values())) <= 12 or [*kept] == [name]
        assert kept.items() <= newest.items()
        assert kept[name] == value
