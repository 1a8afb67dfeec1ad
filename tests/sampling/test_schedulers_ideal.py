"""Every scheduler on every kind of base, 1 to 60 steps, leads a model that knows the answer to the answer."""

from functools import cache

import numpy as np
import pytest
import torch
from diffusers import EulerDiscreteScheduler

from idgen.recipes.schedulers import SCHEDULERS, names
from idgen.sampling import schedulers

SCALED = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
SETTINGS = {
    "epsilon": {**SCALED, "prediction_type": "epsilon"},
    "v": {**SCALED, "prediction_type": "v_prediction"},
    "zero_snr": {**SCALED, "prediction_type": "v_prediction", "rescale_betas_zero_snr": True},
    "cosine": {"beta_schedule": "squaredcos_cap_v2", "prediction_type": "epsilon"},
}
TIMESTEPS = np.arange(1000)
ANSWER = torch.tensor([0.7, -1.2, 0.1, 2.0]).view(1, 4, 1, 1)


def base(setting):
    plain = dict(EulerDiscreteScheduler().config)
    return {**plain, **SETTINGS[setting], "_use_default_values": []}


@cache
def signal(setting):
    """What is left of the picture at each of the 1000 timesteps."""
    return EulerDiscreteScheduler(**SETTINGS[setting]).alphas_cumprod.double().numpy()


def walked(made, setting, steps):
    """Where `steps` steps lead from pure noise, when each is told the truth about the noise that it says is there."""
    made.set_timesteps(steps)
    table = signal(setting)
    sample = torch.randn(1, 4, 1, 1, generator=torch.Generator().manual_seed(0)).double() * made.init_noise_sigma
    extra = {} if made.order == 2 else {"generator": torch.Generator().manual_seed(1)}
    for step in made.timesteps:
        seen = made.scale_model_input(sample, step)
        left = float(np.interp(float(step), TIMESTEPS, table))
        noise = (seen - left**0.5 * ANSWER) / (1 - left) ** 0.5
        velocity = left**0.5 * noise - (1 - left) ** 0.5 * ANSWER
        said = noise if SETTINGS[setting]["prediction_type"] == "epsilon" else velocity
        sample = made.step(said, step, sample, **extra).prev_sample
    return sample


def check(name, setting, counts, spacing=""):
    made = schedulers.make(name, base(setting), spacing)
    # DDIM ends with what noise the first timestep has: those of leading spacing begin with the offset of 1
    limit = 0.08 if name == "ddim" else 0.005
    for steps in counts:
        if steps <= SCHEDULERS[name].max_steps:
            assert (walked(made, setting, steps) - ANSWER).abs().max() < limit, steps
            if steps == 1 or made.config.timestep_spacing != "leading":
                assert made.timesteps[0] > 990, f"{steps} steps begin where noise has ended"


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("name", names())
def test_the_answer_is_reached(name, setting):
    check(name, setting, (1, 2, 3, 4, 7, 21))


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("name", names())
def test_the_answer_is_reached_in_any_number_of_steps(name, setting):
    check(name, setting, range(1, 61))


@pytest.mark.parametrize("spacing", ["leading", "linspace", "trailing"])
@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("name", names())
def test_the_answer_is_reached_with_a_recipes_own_spacing(name, setting, spacing):
    check(name, setting, (1, 3), spacing)


def test_kdpm2_begins_with_the_noise_of_zero_snr():
    made = schedulers.make("kdpm2_karras", base("zero_snr"))
    made.set_timesteps(25)
    assert made.init_noise_sigma > 4000


@pytest.mark.parametrize("other", ["use_beta_sigmas", "use_exponential_sigmas"])
@pytest.mark.parametrize("name", [name for name in names() if SCHEDULERS[name].settings.get("use_karras_sigmas")])
def test_a_name_that_says_karras_is_karras_whatever_the_bases_own_sigmas(name, other):
    made, plain = (schedulers.make(name, {**base("epsilon"), **extra}) for extra in ({other: True}, {}))
    made.set_timesteps(9)
    plain.set_timesteps(9)
    assert torch.equal(made.sigmas, plain.sigmas)
