"""Does the line fit? Counted node by node before anything runs."""

from dataclasses import replace

import pytest

from idgen.actors.pool_sizes import (
    PROMPTS_PER_ACTOR,
    Pool,
    Pools,
    missing,
    missing_texts,
    size_pools,
    size_text_pool,
)
from idgen.config import Config, FacesConfig, SamplingConfig, TextsConfig
from idgen.errors import Exit, RunError

LAPTOP = Config(sampling=SamplingConfig(num_gpus=0, num_cpus=1), faces=FacesConfig(num_cpus=0.5))


def node(cpus, gpus=0.0):
    return {"CPU": cpus, "GPU": gpus, "memory": 1e9}


def sized(config=None, shards=100, nodes=(), later=0.0):
    return size_pools(config or Config(), shards, nodes, later)


def gpus(num_gpus, faces=0.0, **more):
    return Config(sampling=SamplingConfig(num_gpus=num_gpus, **more), faces=FacesConfig(num_gpus=faces))


def test_two_cores_are_enough_for_a_line_without_gpus():
    pools = sized(LAPTOP, 10, [node(2)])
    assert pools == Pools(faces=Pool(actors=1, at_least=1, cpus=0.5), sampling=Pool(actors=1, at_least=1, cpus=1))
    assert missing(pools, [node(2)]) == ""


def test_there_is_one_sampling_actor_per_gpu_but_not_more_than_shards():
    assert sized(nodes=[node(64, 8)]).sampling.actors == 8
    assert sized(shards=3, nodes=[node(64, 8)]).sampling.actors == 3


def test_face_actors_follow_sampling_actors():
    assert sized(nodes=[node(64, 8)]).faces.actors == 4


def test_an_actor_lives_on_one_node_so_what_two_have_left_over_counts_for_nobody():
    pools = sized(gpus(0.6), nodes=[node(8, 1), node(8, 1)])
    assert pools.sampling.actors == 2, "not three of 0.6 in 2"
    assert sized(gpus(0.5), nodes=[node(8, 1), node(8, 3)]).sampling.actors == 8
    assert sized(gpus(0.5), nodes=[node(8)], later=3).sampling.actors == 6
    wide = replace(Config(), sampling=SamplingConfig(num_cpus=3))
    pools = sized(wide, nodes=[node(2, 1), node(4, 1)])
    assert "room for 1 of 2 sampling actors" in missing(pools, [node(2, 1), node(4, 1)])


@pytest.mark.parametrize(("part", "cards", "actors"), [(0.6, 2, 2), (0.7, 8, 8), (0.4, 2, 4), (0.3, 1, 3), (1, 3, 3)])
def test_a_part_of_a_gpu_is_a_part_of_one_card(part, cards, actors):
    assert sized(gpus(part), nodes=[node(64, cards)]).sampling.actors == actors
    assert size_text_pool(gpus(part), 10**6, [node(64, cards)], 0).actors == actors
    too_many = sized(gpus(part, actors=actors + 1), nodes=[node(64, cards)])
    assert missing(too_many, [node(64, cards)]) != ""


def test_faces_with_a_part_of_a_gpu_pile_up_on_one_card_as_ray_puts_them():
    config = gpus(0.75, 0.25)
    pools = sized(config, nodes=[node(64, 4)])
    assert (pools.sampling.at_least, pools.faces.at_least) == (3, 2), "the first card is the faces'"
    assert missing(pools, [node(64, 4)]) == ""
    apart = sized(config, nodes=[node(8, 1), node(8, 1)])
    assert (apart.sampling.at_least, apart.faces.at_least) == (2, 1)


def test_faces_that_want_a_gpu_get_their_part_of_one():
    pools = sized(gpus(0.75, 0.25), nodes=[node(8, 1)])
    assert (pools.sampling.actors, pools.faces.at_least, pools.faces.gpus) == (1, 1, 0.25)
    assert missing(pools, [node(8, 1)]) == ""
    both = sized(gpus(1.0, 0.25), nodes=[node(8, 2)])
    assert both.sampling.actors == 1, "the other GPU is for the faces"
    assert missing(both, [node(8, 2)]) == ""
    alone = sized(gpus(1.0, 0.25), nodes=[node(8, 1)])
    assert "faces.num_gpus" in missing(alone, [node(8, 1)])


@pytest.mark.parametrize(
    ("nodes", "word"),
    [
        ([node(8)], "sampling.num_gpus=0"),
        ([node(1, 1)], "faces.num_cpus"),
        ([node(0.5, 1)], "sampling.num_cpus"),
        ([node(8, 0), node(0.5, 1)], "no single node has the 1 CPU and 1 GPU"),
    ],
)
def test_what_is_missing_is_said_with_what_to_do(nodes, word):
    assert word in missing(sized(shards=10, nodes=[node(0, 1)]), nodes)


def test_fewer_face_actors_begin_where_cpus_are_short_and_one_at_least():
    pools = sized(nodes=[node(9, 8)])
    assert (pools.faces.at_least, pools.faces.actors) == (2, 4), "two of half a CPU beside eight samplers"
    assert missing(pools, [node(9, 8)]) == ""
    assert sized(nodes=[node(8, 8)]).faces.at_least == 1
    assert "face actors" in missing(sized(nodes=[node(8, 8)]), [node(8, 8)])


def test_an_autoscaled_cluster_that_stands_at_zero_starts_with_one_and_grows():
    pools = sized(nodes=[node(4)], later=16)
    assert (pools.sampling.at_least, pools.sampling.actors) == (1, 16)
    assert (pools.faces.at_least, pools.faces.actors) == (1, 8)
    assert "need 1" in missing(pools, [node(4)])
    assert missing(pools, [node(4), node(16, 1)]) == ""


def test_nodes_that_may_join_by_hand_find_work_but_nobody_waits_for_them():
    pools = sized(shards=50, nodes=[node(8, 2)], later=None)
    assert (pools.sampling.at_least, pools.sampling.actors) == (2, 50)
    assert pools.faces.actors == 1, "no more of those: they would take the CPUs of late samplers"
    assert sized(gpus(1.0, actors=3), nodes=[node(8, 2)], later=None).sampling.actors == 3
    assert sized(LAPTOP, nodes=[node(2)], later=None).sampling.actors == 1


def test_a_few_prompts_are_worth_one_actor_and_many_all_accelerators():
    big = [node(64, 8)]
    assert size_text_pool(Config(), 40, big, 0) == Pool(actors=1, at_least=1, cpus=1, gpus=1)
    assert size_text_pool(Config(), 3 * PROMPTS_PER_ACTOR, big, 0).actors == 3
    assert size_text_pool(Config(), 10**6, big, 0).actors == 8
    assert size_text_pool(Config(), 10**6, [node(4)], 8) == Pool(actors=8, at_least=1, cpus=1, gpus=1)


def test_text_actors_ask_for_what_sampling_actors_do_unless_told():
    assert size_text_pool(LAPTOP, 10**6, [node(2)], 0) == Pool(actors=1, at_least=1, cpus=1, gpus=0)
    own = Config(texts=TextsConfig(actors=2, num_gpus=0.5, num_cpus=4))
    assert size_text_pool(own, 10, [node(8, 1)], 0) == Pool(actors=2, at_least=2, cpus=4, gpus=0.5)


def test_the_prompts_may_take_the_whole_machine_as_nothing_runs_beside_them():
    pool = Pool(actors=1, at_least=1, cpus=1, gpus=1)
    assert missing_texts(pool, [node(1, 1)]) == ""
    assert "texts.num_gpus" in missing_texts(pool, [node(8)])
    assert "no node" in missing_texts(pool, [node(8, 0), node(0.5, 1)])
    assert "room for 1 of 2" in missing_texts(Pool(actors=2, at_least=2, cpus=1, gpus=1), [node(8, 1)])


@pytest.mark.parametrize(
    "config", [gpus(2), gpus(1.5), gpus(-1), gpus(1, 2), Config(texts=TextsConfig(num_gpus=2))], ids=repr
)
def test_an_actor_works_on_one_gpu(config):
    with pytest.raises(RunError, match=r"num_gpus=.* one GPU") as error:
        sized(config, nodes=[node(8, 8)])
    assert error.value.exit_code == Exit.USAGE
