"""A stop ends a chapter that nobody works on, and never one that somebody does."""

import threading
import time

import pytest

from idgen.actors.monitor import MonitorState
from idgen.driver import chapter
from idgen.driver.chapter import run_chapter
from idgen.driver.watch import StopRequest
from idgen.errors import Exit, RunError
from idgen.stores.protocol import StoreError


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    monkeypatch.setattr(chapter, "_LOOK_S", 0.02)
    monkeypatch.setattr(chapter, "IDLE_AFTER_STOP_S", 0.2)


def test_a_stop_is_heard_although_no_actor_ever_gets_a_place():
    monitor, never = MonitorState(0), threading.Event()
    done = {"rows": 1, "left": 0}

    def line():
        yield done
        never.wait(30)

    threading.Timer(0.3, monitor.request_stop, ["SIGTERM"]).start()
    started = time.monotonic()
    assert run_chapter(line(), 9, monitor) == [done]
    assert 0.3 < time.monotonic() - started < 10
    never.set()


def test_after_a_stop_work_in_hand_is_waited_for():
    monitor = MonitorState(0)
    monitor.begin_shard("sample", "s")
    monitor.request_stop("SIGTERM")

    def line():
        time.sleep(1.0)
        monitor.end_shard("sample", "s", {})
        yield {"rows": 4, "left": 2}

    assert run_chapter(line(), 4, monitor) == [{"rows": 4, "left": 2}]


def test_a_shard_that_begins_after_a_stop_is_not_in_hand():
    monitor = MonitorState(0)
    monitor.begin_shard("faces", "s")
    monitor.request_stop("SIGTERM")
    assert monitor.progress().in_hand == 1
    monitor.begin_shard("faces", "s")  # its worker died, the next one passes it on
    monitor.begin_shard("faces", "t")
    assert monitor.progress().in_hand == 0


def test_what_ray_wraps_comes_out_as_it_was():
    class WrappedError(RunError):
        """As Ray's: of the same class, speaking in tracebacks."""

    def line(error):
        yield {"rows": 1, "left": 0}
        raise error

    for cause, expected in (
        (RunError(Exit.USAGE, "a wrong file"), (Exit.USAGE, "a wrong file")),
        (StoreError("away"), (Exit.UNAVAILABLE, "the output store stays away: away")),
    ):
        wrapped = WrappedError(Exit.BUG, "Traceback (most recent call last)")
        wrapped.cause = cause
        with pytest.raises(RunError) as error:
            run_chapter(line(wrapped), 2, MonitorState(0))
        assert (error.value.exit_code, error.value.message) == expected


def test_a_deadline_is_heard_while_nodes_are_waited_for():
    stop = StopRequest()
    stop.end_after(0.05)
    stop.check()
    time.sleep(0.1)
    with pytest.raises(RunError, match="deadline") as error:
        stop.check()
    assert error.value.exit_code == Exit.STOPPED
