"""Every name makes a scheduler with what the table says, whatever the base's own scheduler was."""

import sys
from inspect import signature
from subprocess import run

import diffusers
import pytest
import torch
from diffusers import DDIMScheduler, EulerDiscreteScheduler

from idgen.errors import RunError
from idgen.recipes.schedulers import SCHEDULERS, names
from idgen.sampling import schedulers

BASES = [
    dict(DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear").config),
    dict(EulerDiscreteScheduler(beta_schedule="scaled_linear", use_karras_sigmas=True).config),
]
SPACINGS = ["leading", "linspace", "trailing"]


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("name", names())
def test_a_name_gives_its_class_and_its_settings(name, base):
    made = schedulers.make(name, base)
    spec = SCHEDULERS[name]
    assert type(made).__name__ == spec.class_name
    assert {key: made.config[key] for key in spec.settings} == spec.settings
    assert made.config.beta_schedule == "scaled_linear"
    made.set_timesteps(4, device="cpu")
    assert len(made.timesteps) >= 4


@pytest.mark.parametrize("name", names())
def test_the_bases_own_spacing_and_offset_change_nothing(name):
    visited = []
    for spacing in SPACINGS:
        # read from a file, as bases are: what stands there was chosen and is no default
        base = {**BASES[0], "timestep_spacing": spacing, "steps_offset": 1, "_use_default_values": []}
        made = schedulers.make(name, base)
        made.set_timesteps(7)
        visited.append(made.timesteps.tolist())
    assert visited[0] == visited[1] == visited[2]


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("name", names())
def test_a_recipes_spacing_takes_the_place_of_the_tables(name, spacing):
    made = schedulers.make(name, BASES[0], spacing)
    assert made.config.timestep_spacing == spacing
    expected = {**SCHEDULERS[name].settings, "timestep_spacing": spacing}
    assert {key: made.config[key] for key in expected} == expected


def test_spacings_visit_the_steps_they_are_named_for():
    visited = {}
    for spacing in SPACINGS:
        made = schedulers.make("euler", {**BASES[0], "steps_offset": 1, "_use_default_values": []}, spacing)
        made.set_timesteps(4)
        visited[spacing] = [round(step) for step in made.timesteps.tolist()]
    assert visited == {"leading": [751, 501, 251, 1], "linspace": [999, 666, 333, 0], "trailing": [999, 749, 499, 249]}


@pytest.mark.parametrize(("spacing", "largest"), [("", 14.615), ("leading", 11.68)])
def test_the_tables_spacing_gives_kdpm2_the_models_whole_range_and_leading_does_not(spacing, largest):
    made = schedulers.make("kdpm2_karras", {**BASES[0], "steps_offset": 1, "_use_default_values": []}, spacing)
    made.set_timesteps(25)
    assert abs(float(made.sigmas.max()) - largest) < 0.01


def test_ddim_visits_the_steps_of_the_faceid_card():
    made = schedulers.make("ddim", {**BASES[0], "timestep_spacing": "trailing"})
    made.set_timesteps(30)
    assert made.timesteps.tolist() == list(range(958, 0, -33))


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("spacing", ["", *SPACINGS])
def test_a_scheduler_does_as_many_steps_as_the_table_says_whatever_the_recipes_spacing(name, spacing):
    sample = walked(name, SCHEDULERS[name].max_steps, spacing)
    assert torch.isfinite(sample).all()


@pytest.mark.parametrize("name", [name for name in names() if SCHEDULERS[name].max_steps < 1000])
def test_a_limit_is_no_lower_than_it_must_be(name):
    try:
        sample = walked(name, SCHEDULERS[name].max_steps + 1)
    except (ValueError, IndexError):
        return
    assert not torch.isfinite(sample).all()


def walked(name, steps, spacing=""):
    """Go all the steps with a model that says nothing."""
    made = schedulers.make(name, BASES[0], spacing)
    made.set_timesteps(steps)
    sample = torch.ones(1, 4, 2, 2)
    extra = {} if name == "kdpm2_karras" else {"generator": torch.Generator().manual_seed(0)}
    for step in made.timesteps:
        scaled = made.scale_model_input(sample, step)
        sample = made.step(scaled * 0, step, sample, **extra).prev_sample
    return sample


@pytest.mark.parametrize("name", names())
def test_timesteps_stay_in_host_memory_whatever_device_is_asked_for(name):
    made = schedulers.make(name, BASES[0])
    made.set_timesteps(4, device="meta")
    assert made.timesteps.device == torch.device("cpu")


def test_an_unknown_name_is_refused_with_the_names_there_are():
    with pytest.raises(RunError, match=r"dimm.*ddim, euler, euler_a"):
        schedulers.make("dimm", BASES[0])


def test_the_names_can_be_read_without_torch():
    read = "import sys; from idgen.recipes import schedulers; from idgen.sampling import rows"
    code = f"{read}; sys.exit('torch' in sys.modules)"
    assert run([sys.executable, "-c", code], check=False).returncode == 0


def path(scheduler, steps):
    """All latents on the way from one noise, with a net that answers the same of both."""
    scheduler.set_timesteps(steps)
    latents, visited = torch.randn(1, 4, 4, 4, generator=torch.manual_seed(0)) * scheduler.init_noise_sigma, []
    draws = {"generator": torch.manual_seed(1)} if "generator" in signature(scheduler.step).parameters else {}
    for timestep in scheduler.timesteps:
        answer = torch.sin(scheduler.scale_model_input(latents, timestep) + float(timestep))
        latents = scheduler.step(answer, timestep, latents, **draws).prev_sample
        visited.append(latents)
    return torch.cat(visited)


@pytest.mark.parametrize("name", names())
def test_on_an_ordinary_base_every_step_is_the_stock_scheduler_s(name):
    """What is put right on other bases changes no picture of these, bit for bit."""
    spec = SCHEDULERS[name]
    for steps in [steps for steps in (2, 3, 4, 5, 8, 10, 20, 25, 30, 50, 60) if steps <= spec.max_steps]:
        stock = getattr(diffusers, spec.class_name).from_config(BASES[0], **spec.settings)
        assert torch.equal(path(schedulers.make(name, BASES[0]), steps), path(stock, steps)), steps
