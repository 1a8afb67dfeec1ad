"""The schedulers a recipe or a manifest may name: a table of data, readable without torch.

Every setting that would otherwise leak in from the base's own scheduler is stated. Traps: dpmpp_sde_karras is not
diffusers' DPMSolverSDEScheduler (its step takes no generator, so rows cannot have their own seeds);
edm_dpmsolver_multistep is the same solver over the model's own sigmas (the stock EDM class gives noise with Kolors).
"""

from dataclasses import dataclass, field

Setting = str | int | float | bool


@dataclass(frozen=True, slots=True)
class SchedulerSpec:
    """A diffusers class and what is set on top of the base's scheduler config."""

    class_name: str
    settings: dict[str, Setting] = field(default_factory=dict)


_NO_KARRAS: dict[str, Setting] = {"use_karras_sigmas": False}
_KARRAS: dict[str, Setting] = {"use_karras_sigmas": True}
_DPMPP: dict[str, Setting] = {"algorithm_type": "dpmsolver++", "solver_order": 2}

SCHEDULERS: dict[str, SchedulerSpec] = {
    "ddim": SchedulerSpec("DDIMScheduler", {"clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1}),
    "euler": SchedulerSpec("EulerDiscreteScheduler", _NO_KARRAS),
    "euler_a": SchedulerSpec("EulerAncestralDiscreteScheduler"),
    "dpmpp_2m": SchedulerSpec("DPMSolverMultistepScheduler", {**_DPMPP, **_NO_KARRAS}),
    "dpmpp_2m_karras": SchedulerSpec("DPMSolverMultistepScheduler", {**_DPMPP, **_KARRAS}),
    "dpmpp_sde_karras": SchedulerSpec(
        "DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++", "solver_order": 2, **_KARRAS}
    ),
    "kdpm2_karras": SchedulerSpec("KDPM2DiscreteScheduler", {"timestep_spacing": "linspace", **_KARRAS}),
    "lcm": SchedulerSpec("LCMScheduler"),
    "lightning": SchedulerSpec("EulerDiscreteScheduler", {"timestep_spacing": "trailing", **_NO_KARRAS}),
    "turbo": SchedulerSpec("EulerAncestralDiscreteScheduler", {"timestep_spacing": "trailing"}),
    "edm_dpmsolver_multistep": SchedulerSpec("DPMSolverMultistepScheduler", {**_DPMPP, **_KARRAS}),
}


def names() -> list[str]:
    """Return every name, in the table's order."""
    return list(SCHEDULERS)


def is_scheduler(name: str) -> bool:
    """True when a recipe or a manifest may use `name`."""
    return name in SCHEDULERS
