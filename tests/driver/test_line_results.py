"""What a stretch of the line comes back with, and how it ends."""

import time
from types import SimpleNamespace

import pytest
from ray.data.exceptions import ExecutionTimeoutError
from ray.exceptions import RayActorError

from idgen.actors.monitor import MonitorState
from idgen.actors.pool_state import LineLeftError, PoolState
from idgen.driver.line_results import collect_results
from idgen.driver.watch import StopRequest
from idgen.errors import Exit, RunError
from idgen.stores.protocol import StoreError

DONE = {"rows": 1, "left": 0}


def a_line(monitor=None):
    return SimpleNamespace(monitor=monitor or MonitorState(0), pool_state=PoolState())


def results(error=None):
    yield DONE
    if error:
        raise error


def test_what_a_line_did_before_it_was_left_counts():
    line = a_line()
    line.pool_state.waiting = "waiting for 1 CPU"
    assert collect_results(results(LineLeftError()), 9, line) == [DONE]
    assert line.pool_state.waiting == ""


def test_rows_that_do_not_come_back_are_a_bug():
    assert collect_results(results(), 1, a_line()) == [DONE]
    with pytest.raises(RunError, match="2 rows went into the line, 1 came out") as error:
        collect_results(results(), 2, a_line())
    assert error.value.exit_code == Exit.BUG


def test_a_standstill_tells_what_was_waited_for():
    line = a_line()
    line.pool_state.waiting = "waiting for 1 GPU: no sampling actor has a place yet"
    with pytest.raises(RunError, match="makes no progress: waiting for 1 GPU") as error:
        collect_results(results(ExecutionTimeoutError("no progress for 1800 s")), 2, line)
    assert error.value.exit_code == Exit.UNAVAILABLE


def test_what_ray_wraps_comes_out_as_it_was():
    class WrappedError(RunError):
        """As Ray's: of the same class, speaking in tracebacks."""

    for cause, expected in (
        (RunError(Exit.USAGE, "a wrong file"), (Exit.USAGE, "a wrong file")),
        (StoreError("away"), (Exit.UNAVAILABLE, "the output store cannot be reached: away")),
    ):
        wrapped = WrappedError(Exit.BUG, "Traceback (most recent call last)")
        wrapped.cause = cause
        with pytest.raises(RunError) as error:
            collect_results(results(wrapped), 2, a_line())
        assert (error.value.exit_code, error.value.message) == expected


MADE = """The actor died because of an error raised in its creation task, \x1b[36mray::MapWorker(Faces)\x1b[39m (pid=1)
           ^^^^^^^^^^^^^^^^
  File "/app/stages.py", line 48, in __init__
    from idgen.actors.faces import FaceActor
\x1b[31mOSError: libcudart.so.12: cannot open shared object file\x1b[0m
"""
NODE_GONE = "The actor died because its node has died. Node Id: abc\n\tthe actor's node was terminated: SIGTERM"
KILLED = "The actor died unexpectedly.\n\tclass_name: B\n\tpid: 9\nThe actor is dead because it was killed."


@pytest.mark.parametrize(
    ("ray_says", "told"),
    [
        (MADE, "OSError: libcudart.so.12: cannot open shared object file"),
        (NODE_GONE, "The actor died because its node has died. Node Id: abc"),
        (KILLED, "The actor is dead because it was killed."),
        ("", "RayActorError"),
    ],
)
def test_of_a_lost_actor_the_reason_is_told_in_one_line_without_colours(ray_says, told):
    lost = RayActorError()
    lost.error_msg = ray_says
    with pytest.raises(RunError) as error:
        collect_results(results(lost), 2, a_line())
    assert error.value.message == f"the run lost its monitor or an actor: {told}"
    assert error.value.exit_code == Exit.UNAVAILABLE


def test_a_deadline_is_heard_while_nodes_are_waited_for():
    stop = StopRequest()
    stop.end_after(0.05)
    stop.check()
    time.sleep(0.1)
    with pytest.raises(RunError, match="deadline") as error:
        stop.check()
    assert error.value.exit_code == Exit.STOPPED
