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


def test_a_value_larger_than_all_is_not_kept():
    table = LruCache(len, 3)
    table.put("a", b"1234")
    assert table.get("a") is None
    assert len(table) == 0


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
    assert table.get_or_make("large", lambda: "larger than all is given") == "larger than all is given"
    assert table.get_or_make("a", lambda: "made again") == "four"


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.binary(max_size=9)), max_size=60))
def test_the_bound_holds_whatever_is_put(puts):
    table, newest = LruCache(len, 12), {}
    for name, value in puts:
        table.put(name, value)
        newest[name] = value
        kept = {key: found for key in "abcdef" if (found := table.get(key)) is not None}
        assert sum(map(len, kept.values())) <= 12
        assert kept.items() <= newest.items()
        assert kept[name] == value
