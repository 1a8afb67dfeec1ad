"""Does the line fit? Counted before anything runs."""

import pytest

from idgen.actors.cluster import Pools, _missing, _sized
from idgen.config import Config, FacesConfig, SamplingConfig

LAPTOP = Config(sampling=SamplingConfig(num_gpus=0, num_cpus=1), faces=FacesConfig(num_cpus=0.5))


def node(cpus, gpus=0):
    return {"Resources": {"CPU": cpus, "GPU": gpus}}


def test_two_cores_are_enough_for_a_line_without_gpus():
    sized = _sized(LAPTOP, 10, {"CPU": 2.0})
    assert sized == Pools(face_actors=1, face_cpus=0.5, sampling_actors=1, sampling_cpus=1, sampling_gpus=0)
    assert _missing(sized, [node(2)]) == ""


def test_there_is_one_sampling_actor_per_gpu_but_not_more_than_shards():
    assert _sized(Config(), 100, {"CPU": 64, "GPU": 8}).sampling_actors == 8
    assert _sized(Config(), 3, {"CPU": 64, "GPU": 8}).sampling_actors == 3


def test_face_actors_follow_sampling_actors():
    assert _sized(Config(), 100, {"CPU": 64, "GPU": 8}).face_actors == 4


@pytest.mark.parametrize(
    ("nodes", "word"),
    [
        ([node(8)], "sampling.num_gpus=0"),
        ([node(1, 1)], "faces.num_cpus"),
        ([node(8, 0), node(0.5, 1)], "no single node"),
    ],
)
def test_what_is_missing_is_said_with_what_to_do(nodes, word):
    assert word in _missing(_sized(Config(), 10, {"GPU": 1}), nodes)
