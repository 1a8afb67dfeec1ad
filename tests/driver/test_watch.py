"""The thread beside the line."""

import os
import signal
import threading
import time

import pytest

from idgen.actors.monitor import MonitorState
from idgen.driver import watch
from idgen.driver.watch import StopRequest, Watch
from idgen.errors import Exit


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    monkeypatch.setattr(watch, "POLL_S", 0.01)
    monkeypatch.setattr(watch, "WRITE_EVERY_S", 0.05)


@pytest.fixture
def signals():
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def until(condition):
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def watched(state, stop, lost=None, show=lambda _: None, write=lambda _: None):
    return Watch(state, stop, show=show, write=write, lease_lost=lost or threading.Event())


def test_a_signal_stops_the_run_in_order(signals):
    state, stop = MonitorState(0), StopRequest()
    stop.listen()
    with watched(state, stop):
        os.kill(os.getpid(), signal.SIGTERM)
        until(lambda: state.progress().stop_reason)
    assert state.progress().stop_reason == "SIGTERM"
    assert stop.exit_code == Exit.STOPPED


def test_ctrl_c_ends_with_130_and_a_second_one_interrupts(signals):
    stop = StopRequest()
    stop.listen()
    os.kill(os.getpid(), signal.SIGINT)
    until(stop.event.is_set)
    assert stop.exit_code == Exit.INTERRUPTED
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_a_deadline_and_a_lost_lease_stop_it_too():
    state, stop = MonitorState(0), StopRequest()
    stop.end_after(0.02)
    with watched(state, stop):
        until(lambda: state.progress().stop_reason)
    assert (stop.reason, stop.exit_code) == ("deadline", Exit.STOPPED)
    state, stop, lost = MonitorState(0), StopRequest(), threading.Event()
    lost.set()
    with watched(state, stop, lost):
        until(lambda: state.progress().stop_reason)
    assert stop.exit_code == Exit.REFUSED


def test_progress_is_shown_often_and_written_seldom():
    shown, written = [], []
    with watched(MonitorState(0), StopRequest(), show=shown.append, write=written.append):
        until(lambda: len(written) >= 3)
    assert len(shown) >= 2 * len(written)


def test_a_store_that_does_not_take_progress_does_not_end_the_watch():
    def write(_):
        raise OSError("away")

    shown = []
    with watched(MonitorState(0), StopRequest(), show=shown.append, write=write):
        until(lambda: len(shown) > 20)
