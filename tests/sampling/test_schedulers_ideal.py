"""Every scheduler on every kind of base, 1 to 60 steps, leads a model that knows the answer to the answer."""

import numpy as np
import pytest
import torch
from diffusers import EulerDiscreteScheduler

from idgen.sampling import schedulers
from idgen.sampling.scheduler_names import SCHEDULERS, names

SCALED = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
SETTINGS = {
    "epsilon": {**SCALED, "prediction_type": "epsilon"},
    "v": {**SCALED, "prediction_type": "v_prediction"},
    "zero_snr": {**SCALED, "prediction_type": "v_prediction", "rescale_betas_zero_snr": True},
    "cosine": {"beta_schedule": "squaredcos_cap_v2", "prediction_type": "epsilon"},
}
ANSWER = torch.tensor([0.7, -1.2, 0.1, 2.0]).view(1, 4, 1, 1)


def base(setting):
    plain = dict(EulerDiscreteScheduler().config)
    return {**plain, **SETTINGS[setting], "_use_default_values": []}


def signal(setting):
    """What is left of the picture at each of the 1000 timesteps."""
    return EulerDiscreteScheduler(**SETTINGS[setting]).alphas_cumprod.double().numpy()


def walked(name, setting, steps):
    made = schedulers.make(name, base(setting))
    made.set_timesteps(steps)
    table = signal(setting)
    sample = torch.randn(1, 4, 1, 1, generator=torch.Generator().manual_seed(0)).double() * made.init_noise_sigma
    extra = {} if name == "kdpm2_karras" else {"generator": torch.Generator().manual_seed(1)}
    for step in made.timesteps:
        seen = made.scale_model_input(sample, step)
        left = float(np.interp(float(step), np.arange(1000), table))
        noise = (seen - left**0.5 * ANSWER) / (1 - left) ** 0.5
        velocity = left**0.5 * noise - (1 - left) ** 0.5 * ANSWER
        said = noise if SETTINGS[setting]["prediction_type"] == "epsilon" else velocity
        sample = made.step(said, step, sample, **extra).prev_sample
    return sample


SINGLE_STEPS = {("ddim", setting) for setting in SETTINGS} | {
    (name, "cosine") for name in ("dpmpp_2m_karras", "dpmpp_sde_karras", "edm_dpmsolver_multistep")
}
"""One step is not enough for these: DDIM's spacing then begins where the noise ends; diffusers cuts a timestep of the
cosine's down to a whole number, which at its noisiest end is another noise by far."""


def check(name, setting, counts):
    limit = 0.08 if name == "ddim" else 0.005  # DDIM ends with what noise the first timestep has
    for steps in counts:
        if steps > SCHEDULERS[name].max_steps or (steps == 1 and (name, setting) in SINGLE_STEPS):
            continue
        assert (walked(name, setting, steps) - ANSWER).abs().max() < limit, steps


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("name", names())
def test_the_answer_is_reached(name, setting):
    check(name, setting, (1, 2, 3, 7, 21, 22, 25))


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("name", names())
def test_the_answer_is_reached_in_any_number_of_steps(name, setting):
    check(name, setting, range(1, 61))


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
