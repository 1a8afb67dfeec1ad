"""The instruments show what is there."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from doubles.tiny_recipe import recipe

from idgen.benchmark import door_alone, syncs
from idgen.benchmark.busy import busy_share, covered
from idgen.benchmark.correctness import _fill
from idgen.benchmark.door import fill_recipes, judge
from idgen.benchmark.figures import Door, GoldenFigures
from idgen.benchmark.junit import read
from idgen.benchmark.processes import BlockError
from idgen.full_size.pictures import bucket_for, rows_for, same_but_people
from idgen.sampling.sampler import Sampler

CPU = torch.device("cpu")
JUNIT = """<testsuites><testsuite>
<testcase name="test_in_float32[a]"><properties><property name="share_latents" value="0.25"/>
<property name="share_tokens" value="0.5"/></properties></testcase>
<testcase name="test_in_float32[b]"><properties><property name="share_latents" value="1.5"/></properties>
<failure message="too far">assert</failure></testcase>
<testcase name="test_alone[a-float32]"><properties><property name="alone_latents" value="0.1"/></properties></testcase>
<testcase name="test_in_float32[c]"><skipped/></testcase>
<testcase name="test_in_float32[d]"><error/></testcase>
</testsuite></testsuites>"""


@pytest.mark.parametrize("inference", [False, True])
def test_waits_of_a_step_are_told_from_those_of_the_whole_call(inference):
    number = torch.ones(())

    def call(steps):
        number.item()
        for _ in range(steps):
            float(number)
            bool(number > 0)
            torch.ones(3).nonzero()
            torch.equal(number, number)
            torch.ones(3)[torch.ones(3) > 0]

    with torch.inference_mode(inference):
        assert syncs.per_step(call, 2, CPU) == (5, 1)


def test_what_does_not_wait_does_not_count():
    with syncs.counted(CPU) as count:
        torch.ones(3).add(1).sum()
    assert count.number == 0


def test_time_that_two_kernels_share_counts_once():
    assert covered([(5, 6), (0, 2), (1, 3), (1.5, 2)]) == 4
    assert covered([]) == 0


def test_without_a_gpu_nothing_is_said_of_its_being_busy():
    assert busy_share(lambda: pytest.fail("was called"), CPU) is None


@pytest.mark.slow
def test_goldens_are_counted_and_their_worst_is_named():
    figures = GoldenFigures()
    _fill(figures, read(JUNIT))
    assert (figures.passed, figures.failed, figures.skipped) == (2, 2, 1)
    assert figures.failures == ["test_in_float32[b]", "test_in_float32[d]"]
    assert (figures.worst_share, figures.worst) == (1.5, "test_in_float32[b] latents")
    assert (figures.alone_worst_share, figures.alone_worst) == (0.1, "test_alone[a-float32] latents")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["faceid_sd15", "instantid", "ecomid", "pulid_v1", "kolors_faceid_plus"])
def test_rows_have_what_their_recipe_needs_and_differ_by_person(kind):
    made = recipe(kind)
    bucket = replace(bucket_for(made), width=64, height=64, num_inference_steps=2)
    first, second = rows_for(made, bucket, 2)
    assert not np.array_equal(first.id_embedding, second.id_embedding)
    assert np.array_equal(rows_for(made, bucket, 1, first=1)[0].id_embedding, second.id_embedding)
    assert ("identity" in first.control_images) == bool(made.controls)
    sampler = Sampler.load(made, lora_scale=1.0, device="cpu")
    pictures = sampler.sample(same_but_people([first, second]), bucket)
    assert all(picture.shape == (64, 64, 3) for picture in pictures)
    assert not np.array_equal(*pictures)


def door_of(**changes):
    door, good = Door(), {"pictures": 2, "ok": 2, "non_finite": 0, "people_differ_levels": 3.0}
    fill_recipes(door, {name: {"float16": good, "bfloat16": good} for name in door.recipes})
    for name, value in changes.items():
        setattr(door.recipes["instantid"].bfloat16, name, value)
    return door


def test_a_door_is_open_when_every_picture_is_there_and_people_differ():
    judge(door_of())
    with pytest.raises(BlockError, match="instantid in bfloat16: 1 of 2 pictures"):
        judge(door_of(ok=1))
    for levels in (0.0, 0.9, float("nan"), None):
        with pytest.raises(BlockError, match="instantid in bfloat16: two people look the same"):
            judge(door_of(people_differ_levels=levels))
    with pytest.raises(BlockError, match=r"faceid-sd15 in float16: 0 of 2 pictures \(12 such\)"):
        judge(Door())


@pytest.mark.slow
def test_without_ray_the_sampler_goes_through_the_door_alone(tmp_path):
    out = tmp_path / "door.json"
    door_alone.sample("cpu", str(out), ["faceid-sd15"])
    door = Door()
    fill_recipes(door, json.loads(out.read_text()))
    assert door.recipes["ecomid"].float16.ok is None
    door.recipes = {"faceid-sd15": door.recipes["faceid-sd15"]}
    judge(door)
    for found in (door.recipes["faceid-sd15"].float16, door.recipes["faceid-sd15"].bfloat16):
        assert (found.pictures, found.ok, found.non_finite) == (2, 2, 0)
