"""What people decided: append-only, the newest date of each picture counts, the same decision twice is one."""

from datetime import UTC, datetime, timedelta

from idgen.reviews.decisions import Decision, add_decisions, newest_decisions
from idgen.reviews.orders import Order, add_orders, read_orders

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


def decision(key, word, minutes=0, reason=""):
    return Decision(
        key=key * 32, row_id="r", decision=word, reason=reason, decided_at=NOON + timedelta(minutes=minutes)
    )


def counted(store):
    return {row["key"][0]: (row["decision"], row["decided_by"]) for row in newest_decisions(store).to_pylist()}


def test_nothing_is_decided_in_a_new_catalogue(store):
    assert newest_decisions(store).num_rows == 0
    assert read_orders(store) == {}


def test_the_newest_date_counts_whatever_was_recorded_last(store):
    assert add_decisions(store, [decision("a", "rejected", 9, "blurred"), decision("b", "accepted")], "mara") == 2
    assert add_decisions(store, [decision("a", "accepted", 5), decision("b", "rejected", 1)], "tom") == 2
    assert counted(store) == {"a": ("rejected", "mara"), "b": ("rejected", "tom")}


def test_a_decision_that_comes_again_adds_nothing(store):
    told = [decision("a", "rejected", reason="cut"), decision("b", "accepted")]
    assert add_decisions(store, [*told, told[0]], "mara") == 2
    before = [found.path for found in store.list("reviews/")]
    assert add_decisions(store, told, "tom") == 0
    assert [found.path for found in store.list("reviews/")] == before
    assert counted(store)["a"] == ("rejected", "mara")


def test_no_file_of_reviews_is_written_over(store):
    add_orders(store, "run-1", [Order("a" * 32, 5)])
    add_orders(store, "run-1", [Order("b" * 32, 6, {"prompt": "x", "width": None})])
    assert [found.path for found in store.list("reviews/")] == [
        "reviews/orders/run-1-2.parquet",
        "reviews/orders/run-1.parquet",
    ]
    assert read_orders(store) == {
        "a" * 32: Order("a" * 32, 5),
        "b" * 32: Order("b" * 32, 6, {"prompt": "x", "width": None}),
    }


def test_the_newest_order_of_a_key_counts(store):
    for seed in (5, 6, 7):
        add_orders(store, f"run-{9 - seed}", [Order("a" * 32, seed)])
    assert read_orders(store)["a" * 32].seed == 7
