"""What people are told while actors have no place, and when a stopped line is left."""

import pytest

from idgen.actors import pool_state
from idgen.actors.pool_sizes import Pool
from idgen.actors.pool_state import LineLeftError, PoolState, Standing

FACES, GPU = Pool(actors=1, at_least=1, cpus=0.5), Pool(actors=1, at_least=1, cpus=1, gpus=1)


@pytest.fixture
def clock(monkeypatch):
    """Seconds; to be set."""
    now = [100.0]
    monkeypatch.setattr(pool_state.time, "monotonic", lambda: now[0])
    return now


def faces(placed=1, busy=0):
    return Standing(kind="face actor", pool=FACES, placed=placed, busy=busy)


def sampling(placed=1, busy=0):
    return Standing(kind="sampling actor", pool=GPU, placed=placed, busy=busy)


def test_the_pool_without_a_place_is_told_after_a_moment_and_no_longer(clock):
    here = PoolState()
    here.look([faces(), sampling(placed=0)])
    assert here.waiting == ""
    clock[0] += 6
    here.look([faces(), sampling(placed=0)])
    assert here.waiting == "waiting for 1 CPU and 1 GPU: no sampling actor has a place yet"
    here.look([faces(placed=0), sampling()])
    assert here.waiting == "waiting for 0.5 CPUs: no face actor has a place yet"
    here.look([faces(), sampling()])
    assert here.waiting == ""
    clock[0] += 4
    here.look([faces(), sampling(placed=0)])
    assert here.waiting == "", "counted from when all had one"


def test_a_stopped_line_is_left_once_nobody_was_at_work_for_a_while(clock):
    stopping = [False]
    here = PoolState(lambda: stopping[0])
    for seconds in (0, 60, 60):
        clock[0] += seconds
        here.look([faces(), sampling(placed=0)])  # nobody asked for a stop
    stopping[0] = True
    clock[0] += 4
    here.look([faces(), sampling(placed=0)])
    clock[0] += 2
    with pytest.raises(LineLeftError):
        here.look([faces(), sampling(placed=0)])


def test_work_in_hand_is_waited_for_after_a_stop(clock):
    here = PoolState(lambda: True)
    for _ in range(100):
        clock[0] += 60
        here.look([faces(), sampling(busy=1)])
    clock[0] += 4
    here.look([faces(), sampling()])
    clock[0] += 2
    with pytest.raises(LineLeftError):
        here.look([faces(), sampling()])


def test_a_new_line_begins_with_a_clean_sheet(clock):
    here = PoolState(lambda: True)
    clock[0] += 60
    here.waiting = "waiting: the cluster has 0 GPUs"
    here.begin()
    here.look([faces(), sampling()])
    assert here.waiting == ""
