"""Every name makes a scheduler with what the table says, whatever the base's own scheduler was."""

import sys
from subprocess import run

import pytest
import torch
from diffusers import DDIMScheduler, EulerDiscreteScheduler

from idgen.errors import RunError
from idgen.sampling import schedulers
from idgen.sampling.scheduler_names import SCHEDULERS, is_scheduler, names

BASES = [
    dict(DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear").config),
    dict(EulerDiscreteScheduler(beta_schedule="scaled_linear", use_karras_sigmas=True).config),
]


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
def test_timesteps_stay_in_host_memory_whatever_device_is_asked_for(name):
    made = schedulers.make(name, BASES[0])
    made.set_timesteps(4, device="meta")
    assert made.timesteps.device == torch.device("cpu")


def test_an_unknown_name_is_refused_with_the_names_there_are():
    assert is_scheduler("ddim")
    assert not is_scheduler("dimm")
    with pytest.raises(RunError, match=r"dimm.*ddim, euler, euler_a"):
        schedulers.make("dimm", BASES[0])


def test_the_names_can_be_read_without_torch():
    code = "import sys; from idgen.sampling import scheduler_names, rows; sys.exit('torch' in sys.modules)"
    assert run([sys.executable, "-c", code], check=False).returncode == 0
