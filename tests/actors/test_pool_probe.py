"""The look at Ray Data's loop never costs a line its life, whatever another Ray calls its things."""

import importlib
import sys

import pytest

from idgen.actors import pool_probe
from idgen.actors.pool_state import LineLeftError, PoolState


def test_a_ray_that_calls_its_pools_otherwise_is_told_once_and_the_line_runs(caplog):
    look = pool_probe.PoolProbe(PoolState(), {})
    for _ in range(3):
        look._looked_at_s = 0.0
        look.on_execution_step(object())
    assert len([one for one in caplog.records if "cannot be read" in one.message]) == 1


def test_a_line_that_is_left_ends(monkeypatch):
    class Left(PoolState):
        def look(self, pools):
            raise LineLeftError

    class Executor:
        _topology = ()

    with pytest.raises(LineLeftError):
        pool_probe.PoolProbe(Left(), {}).on_execution_step(Executor())


def test_a_ray_without_such_callbacks_can_be_used(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray.data._internal.execution.execution_callback", None)
    try:
        other = importlib.reload(pool_probe)
        other.PoolProbe(PoolState(), {}).on_execution_step(object())
    finally:
        monkeypatch.undo()
        importlib.reload(pool_probe)
