"""One recipe's measuring process, on the tiny world's weights."""

import pytest
import torch

from idgen.benchmark import family
from idgen.benchmark.figures import Way
from idgen.benchmark.recipes import TINY, load, setting_for
from idgen.errors import Code, RowError
from idgen.sampling.sampler import Sampler

CPU = torch.device("cpu")
NAME = "faceid-plusv2-sd15"


@pytest.fixture
def task():
    return family._task(load(NAME, [TINY], "float32"), setting_for(NAME, "tiny"), CPU)


@pytest.fixture
def sampler(task):
    return Sampler.load(task.recipe, lora_scale=1.0, device="cpu")


@pytest.mark.slow
def test_pictures_that_are_not_finite_are_counted_and_timed(task, sampler):
    way = Way()
    sampler.pipeline.vae.decoder.conv_out.bias.data.fill_(float("nan"))
    family._ours(task, sampler, way)
    assert way.non_finite == way.pictures + way.batch
    assert way.images_per_s > 0


@pytest.mark.slow
def test_finite_ones_are_not(task, sampler):
    way = Way()
    family._ours(task, sampler, way)
    assert way.non_finite == 0


def test_any_other_error_of_a_row_is_one():
    with pytest.raises(RowError, match="no text"):
        family.non_finite([RowError(Code.NON_FINITE, "dark"), RowError(Code.TEXT_MISSING, "no text")])


@pytest.mark.slow
def test_no_step_of_ours_waits_for_the_device_and_each_of_the_plain_loop_does(task, sampler):
    ours, plain = Way(), Way()
    family._ours(task, sampler, ours)
    family._plain(task, plain)
    assert (ours.host_syncs_per_step, ours.host_syncs_per_batch) == (0, 0)
    assert plain.host_syncs_per_step == 2
