"""Does the line fit? Counted before anything runs."""

import pytest

from idgen.actors.cluster import Pool, Pools, _missing, _sized
from idgen.config import Config, FacesConfig, SamplingConfig

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
