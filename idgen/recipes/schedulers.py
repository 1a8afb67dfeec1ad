"""The schedulers a recipe or a manifest may name: a table of data, readable without torch.

What bases are known to set in other ways is stated: spacing, Karras (and no other sigmas beside it), the solver, DDIM's
ends. What belongs to the model (betas, prediction type, zero SNR) comes from the base. Traps:
dpmpp_sde_karras is not diffusers' DPMSolverSDEScheduler (its step takes no generator, so rows cannot have their own
seeds); edm_dpmsolver_multistep is the same solver over the model's own sigmas (the stock EDM class gives noise with
Kolors).
"""

from dataclasses import dataclass, field

from idgen.columns import MAX_STEPS

Setting = str | int | float | bool


@dataclass(frozen=True, slots=True)
class SchedulerSpec:
    """A diffusers class, what is set on top of the base's scheduler config, and the most steps it can do."""

    class_name: str
    settings: dict[str, Setting] = field(default_factory=dict)
    max_steps: int = MAX_STEPS


_LINSPACE: dict[str, Setting] = {"timestep_spacing": "linspace"}
_TRAILING: dict[str, Setting] = {"timestep_spacing": "trailing"}
_PLAIN: dict[str, Setting] = {"use_karras_sigmas": False, **_LINSPACE}
_KARRAS: dict[str, Setting] = {
    "use_karras_sigmas": True, "use_beta_sigmas": False, "use_exponential_sigmas": False, **_LINSPACE,
}  # fmt: skip
_DPMPP: dict[str, Setting] = {"algorithm_type": "dpmsolver++", "solver_order": 2}
_SDE: dict[str, Setting] = {"algorithm_type": "sde-dpmsolver++", "solver_order": 2}
_DDIM: dict[str, Setting] = {
    "clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1, "timestep_spacing": "leading",
}  # fmt: skip

SCHEDULERS: dict[str, SchedulerSpec] = {
    "ddim": SchedulerSpec("DDIMScheduler", _DDIM, max_steps=999),  # the offset of 1 leads beyond the last timestep
    "euler": SchedulerSpec("EulerDiscreteScheduler", _PLAIN),
    "euler_a": SchedulerSpec("EulerAncestralDiscreteScheduler", _LINSPACE),
    "dpmpp_2m": SchedulerSpec("DPMSolverMultistepScheduler", {**_DPMPP, **_PLAIN}, max_steps=999),  # 1000: a step twice
    "dpmpp_2m_karras": SchedulerSpec("DPMSolverMultistepScheduler", {**_DPMPP, **_KARRAS}),
    "dpmpp_sde_karras": SchedulerSpec("DPMSolverMultistepScheduler", {**_SDE, **_KARRAS}),
    "kdpm2_karras": SchedulerSpec("KDPM2DiscreteScheduler", _KARRAS),
    "lcm": SchedulerSpec("LCMScheduler", {"original_inference_steps": 50}, max_steps=50),
    "lightning": SchedulerSpec("EulerDiscreteScheduler", {"use_karras_sigmas": False, **_TRAILING}),
    "turbo": SchedulerSpec("EulerAncestralDiscreteScheduler", _TRAILING),
    "edm_dpmsolver_multistep": SchedulerSpec("DPMSolverMultistepScheduler", {**_DPMPP, **_KARRAS}),
}


def names() -> list[str]:
    """Return every name, in the table's order."""
    return list(SCHEDULERS)
