"""Does the line fit? Counted before anything runs."""

import os
import subprocess
import sys
import time

import pytest
import ray

from idgen.actors.cluster import (
    PROMPTS_PER_ACTOR,
    Pool,
    Pools,
    _missing,
    _missing_texts,
    _sized,
    _sized_texts,
    _wait_for_pid,
    wait_for_end,
)
from idgen.config import Config, FacesConfig, SamplingConfig, TextsConfig

LAPTOP = Config(sampling=SamplingConfig(num_gpus=0, num_cpus=1), faces=FacesConfig(num_cpus=0.5))


def node(cpus, gpus=0):
    return {"Resources": {"CPU": cpus, "GPU": gpus}}


def test_two_cores_are_enough_for_a_line_without_gpus():
    sized = _sized(LAPTOP, 10, {"CPU": 2.0}, {})
    assert sized == Pools(faces=Pool(actors=1, at_least=1, cpus=0.5), sampling=Pool(actors=1, at_least=1, cpus=1))
    assert _missing(sized, [node(2)]) == ""


def test_there_is_one_sampling_actor_per_gpu_but_not_more_than_shards():
    assert _sized(Config(), 100, {"CPU": 64, "GPU": 8}, {}).sampling.actors == 8
    assert _sized(Config(), 3, {"CPU": 64, "GPU": 8}, {}).sampling.actors == 3


def test_face_actors_follow_sampling_actors():
    assert _sized(Config(), 100, {"CPU": 64, "GPU": 8}, {}).faces.actors == 4


@pytest.mark.parametrize(
    ("nodes", "word"),
    [
        ([node(8)], "sampling.num_gpus=0"),
        ([node(1, 1)], "faces.num_cpus"),
        ([node(8, 0), node(0.5, 1)], "no single node"),
    ],
)
def test_what_is_missing_is_said_with_what_to_do(nodes, word):
    assert word in _missing(_sized(Config(), 10, {"GPU": 1}, {}), nodes)


def test_an_autoscaled_cluster_that_stands_at_zero_starts_with_one_and_grows():
    sized = _sized(Config(), 100, {"CPU": 4}, {"CPU": 260, "GPU": 16})
    assert (sized.sampling.at_least, sized.sampling.actors) == (1, 16)
    assert (sized.faces.at_least, sized.faces.actors) == (1, 8)
    assert "1 GPU" in _missing(sized, [node(4)]) or "need 1" in _missing(sized, [node(4)])
    assert _missing(sized, [node(4), node(16, 1)]) == ""


def test_a_few_prompts_are_worth_one_actor_and_many_all_accelerators():
    big = {"CPU": 64.0, "GPU": 8.0}
    assert _sized_texts(Config(), 40, big, {}) == Pool(actors=1, at_least=1, cpus=1, gpus=1)
    assert _sized_texts(Config(), 3 * PROMPTS_PER_ACTOR, big, {}).actors == 3
    assert _sized_texts(Config(), 10**6, big, {}).actors == 8
    assert _sized_texts(Config(), 10**6, {"CPU": 4.0}, big) == Pool(actors=8, at_least=1, cpus=1, gpus=1)


def test_text_actors_ask_for_what_sampling_actors_do_unless_told():
    assert _sized_texts(LAPTOP, 10**6, {"CPU": 2.0}, {}) == Pool(actors=1, at_least=1, cpus=1, gpus=0)
    own = Config(texts=TextsConfig(actors=2, num_gpus=0.5, num_cpus=4))
    assert _sized_texts(own, 10, {"CPU": 8.0, "GPU": 1.0}, {}) == Pool(actors=2, at_least=2, cpus=4, gpus=0.5)


def test_the_prompts_may_take_the_whole_machine_as_nothing_runs_beside_them():
    pool = Pool(actors=1, at_least=1, cpus=1, gpus=1)
    assert _missing_texts(pool, [node(1, 1)]) == ""
    assert "texts.num_gpus" in _missing_texts(pool, [node(8)])
    assert "no node" in _missing_texts(pool, [node(8, 0), node(0.5, 1)])
    assert "room for 1 of 2" in _missing_texts(Pool(actors=2, at_least=2, cpus=1, gpus=1), [node(8, 1)])


def test_the_end_of_a_process_is_waited_for_and_not_for_ever():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        started = time.monotonic()
        assert not _wait_for_pid(process.pid, 0.3)
        assert time.monotonic() - started < 5
    assert _wait_for_pid(process.pid, 5)
    assert not _wait_for_pid(os.getpid(), 0.0)


@pytest.mark.cluster
def test_workers_that_nobody_holds_any_more_are_waited_for():
    class SlowToEnd:
        """Its process goes on after Ray has called it dead, as one that gives back a device's memory does."""

        def where(self):
            return ray.get_runtime_context().get_node_id(), os.getpid()

        def __ray_shutdown__(self):
            time.sleep(3)

    ray.init(address="local", num_cpus=1, include_dashboard=False, object_store_memory=128 * 2**20, log_to_driver=False)
    try:
        actor = ray.remote(SlowToEnd).remote()
        node, pid = ray.get(actor.where.remote())
        del actor
        assert not _wait_for_pid(pid, 0.0)
        wait_for_end([(node, pid), ("0" * 56, 1)])  # the second one's node has gone
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    finally:
        ray.shutdown()
