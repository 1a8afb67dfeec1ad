"""The run's memory, as a plain object."""

from idgen.actors.monitor import BARREN_TRIES, MonitorState, Published


def monitor(breaker_failures=0):
    return MonitorState(breaker_failures)


def die_with(state, keys):
    """A worker begins the shard, tries `keys` and is never heard of again."""
    orders = state.begin_shard("sample", "s0")
    state.begin("sample", "s0", keys)
    return orders


def test_a_first_try_has_no_suspects():
    orders = monitor().begin_shard("sample", "s0")
    assert (orders.shard_try, orders.suspects, orders.given_up, orders.stop) == (0, frozenset(), frozenset(), False)


def test_keys_that_were_tried_at_a_death_run_alone():
    state = monitor()
    die_with(state, ["a", "b"])
    orders = state.begin_shard("sample", "s0")
    assert orders.shard_try == 1
    assert orders.suspects == {"a", "b"}
    assert not orders.given_up


def test_a_key_is_given_up_at_its_second_death_alone():
    state = monitor()
    die_with(state, ["a", "b"])
    assert not die_with(state, ["a"]).given_up
    assert not die_with(state, ["a"]).given_up
    orders = state.begin_shard("sample", "s0")
    assert orders.given_up == {"a"}
    assert orders.suspects == {"b"}


def test_deaths_in_company_never_give_a_key_up():
    state = monitor()
    for _ in range(5):
        assert not die_with(state, ["a", "b"]).given_up


def test_what_a_worker_lived_through_is_no_suspect():
    state = monitor()
    state.begin_shard("sample", "s0")
    state.begin("sample", "s0", ["a"])
    state.end("sample", "s0")
    assert not state.begin_shard("sample", "s0").suspects


def test_faces_and_sampling_have_marks_of_their_own():
    state = monitor()
    state.begin_shard("faces", "s0")
    state.begin("faces", "s0", ["photo"])
    assert not state.begin_shard("sample", "s0").suspects
    assert state.begin_shard("faces", "s0").suspects == {"photo"}


def test_a_repeat_of_a_finished_shard_is_another_try():
    state = monitor()
    state.begin_shard("sample", "s0")
    state.end_shard("sample", "s0", {"loads": 1})
    assert state.begin_shard("sample", "s0").shard_try == 1


def test_workers_that_die_before_their_first_batch_stop_the_run():
    state = monitor()
    for _ in range(BARREN_TRIES):
        assert not state.begin_shard("sample", "s0").stop
    assert state.begin_shard("sample", "s0").stop
    assert "s0" in state.progress().stop_reason


def test_workers_that_die_after_their_last_face_stop_the_run():
    """As of memory, when a shard's crops are put together: no mark tells whose fault it is."""
    state = monitor()
    for _ in range(BARREN_TRIES):
        assert not state.begin_shard("faces", "s0").stop
        state.begin("faces", "s0", ["a"])
        state.end("faces", "s0")
    assert state.begin_shard("faces", "s0").stop


def test_a_shard_of_many_photos_that_kill_does_not_stop_the_run():
    state = monitor()
    for number in range(3 * BARREN_TRIES):
        assert not state.begin_shard("faces", "s0").stop
        state.begin("faces", "s0", [f"poison {number // 2}"])
    orders = state.begin_shard("faces", "s0")
    assert (len(orders.given_up), orders.stop) == (3 * BARREN_TRIES // 2, False)


def test_a_stop_marks_nothing():
    state = monitor()
    state.begin_shard("sample", "s0")
    state.request_stop("SIGTERM")
    assert state.begin("sample", "s0", ["a"])
    assert not state.begin_shard("sample", "s0").suspects
    assert state.progress().stop_reason == "SIGTERM"


def told(code, photos, status="failed"):
    return [Published(status if code else "ok", code, photo) for photo in photos]


def test_the_breaker_stops_a_store_that_refuses_everything():
    state = monitor(breaker_failures=3)
    state.published(told("fetch_denied", "ab"))
    assert not state.stopping()
    state.published(told("fetch_timeout", "c"))
    assert "3 files" in state.progress().stop_reason


def test_one_missing_photo_of_many_rows_is_one_failure():
    state = monitor(breaker_failures=3)
    state.published(told("fetch_failed", "a" * 600))
    state.published(told("reference_missing", "abcdef"))
    assert not state.stopping()


def test_the_breaker_starts_anew_when_the_store_gives_something():
    state = monitor(breaker_failures=3)
    state.published(told("fetch_denied", "ab") + told("", "c") + told("fetch_denied", "de"))
    state.published(told("no_face", "f", "rejected") + told("fetch_denied", "gh"))
    assert not state.stopping()


def test_counts_add_up_over_shards():
    state = monitor()
    for shard in ("s0", "s1"):
        state.begin_shard("sample", shard)
        state.end_shard("sample", shard, {"loads": 1, "prompt_encodings": 3})
    state.published([*told("", "ab"), *told("no_face", "c", "rejected")])
    progress = state.progress()
    assert progress.counts == {"loads": 2, "prompt_encodings": 6}
    assert progress.statuses == {"ok": 2, "rejected": 1}
    assert progress.codes == {"no_face": 1}


def test_held_pictures_are_counted_beside_their_status():
    state = MonitorState(0)
    state.published([Published("ok", "", "a", "held"), Published("ok", "", "b", "ok"), Published("ok", "", "c")])
    assert (state.progress().held, state.progress().statuses) == (1, {"ok": 3})
