"""Makes diffusers' schedulers from names, and brings their timesteps to the nets."""

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import diffusers
import numpy as np
import torch
from diffusers.schedulers.scheduling_euler_discrete import rescale_zero_terminal_snr
from numpy.typing import NDArray
from torch import Tensor, nn

from idgen.errors import Exit, RunError
from idgen.networks import transfers
from idgen.recipes.schedulers import SCHEDULERS, names

COSINE, ZERO_SNR = "squaredcos_cap_v2", "rescale_betas_zero_snr"
LEAST_SIGNAL = 2.0**-24
"""What diffusers has for a signal of zero, whose sigma would be infinite."""


class HostTimesteps:
    """Mix-in that keeps the timesteps in host memory, and begins with the first of them.

    Stock schedulers put them on the device and then read tables in host memory by them: one stall per step with DDIM
    and LCM, one per batch with the others. The nets are given the one number they need by `queue_timesteps`.
    """

    def set_timesteps(
        self,
        num_inference_steps: int | None = None,
        device: object = None,
        *args: object,
        **kwargs: object,
    ) -> None:
        """Same as diffusers', on the CPU whatever `device` says; what that gets wrong on some bases is put right."""
        config: Any = self.config  # type: ignore[attr-defined]  # diffusers carries no types
        spacing = config.timestep_spacing
        # The other spacings end near the picture, and one step alone would begin there. DDIM goes on by equal strides,
        # which linspace's are not: noise would be left.
        if num_inference_steps == 1 or (spacing == "linspace" and isinstance(self, diffusers.DDIMScheduler)):
            spacing = "trailing"
        with _spaced(self, spacing):
            super().set_timesteps(num_inference_steps, "cpu", *args, **kwargs)  # type: ignore[misc]
        if hasattr(self, "set_begin_index"):
            # Karras' sigmas of zero SNR have their first timestep twice from 21 steps on, and stock schedulers begin
            # with the second. Pipelines that begin later, from an image, say so afterwards.
            self.set_begin_index(0)
        if config.beta_schedule == COSINE and isinstance(self, diffusers.EulerAncestralDiscreteScheduler):
            # its noise is so much that in float32 nothing is left of differences between squares
            self.sigmas = self.sigmas.double()

    def _sigma_to_t(self, sigma: NDArray[np.float64], log_sigmas: NDArray[np.float64]) -> NDArray[np.float64]:
        """Same as diffusers', which cuts fractions of the cosine's timesteps off: another noise by far at its end."""
        found = super()._sigma_to_t(sigma, log_sigmas)  # type: ignore[misc]
        cut = isinstance(self, diffusers.DPMSolverMultistepScheduler) and self.config.beta_schedule == COSINE
        rounded: NDArray[np.float64] = np.round(found) if cut else found
        return rounded


def make(name: str, base_config: Mapping[str, object], spacing: str = "") -> diffusers.SchedulerMixin:
    """Return the scheduler called `name` on top of the base's scheduler config; `spacing` beats the table's if given.

    Raises RunError that lists the names when there is none of that name.
    """
    if name not in SCHEDULERS:
        raise RunError(Exit.USAGE, f"there is no scheduler {name!r}; it must be one of {', '.join(names())}")
    spec = SCHEDULERS[name]
    stock = getattr(diffusers, spec.class_name)
    on_host: Any = type(stock.__name__, (HostTimesteps, stock), {})
    settings = {**spec.settings, **({"timestep_spacing": spacing} if spacing else {})}
    made = on_host.from_config(dict(base_config), **settings)
    if base_config.get(ZERO_SNR) and ZERO_SNR not in inspect.signature(stock).parameters:
        _rescale(made)
    return made


@contextmanager
def _spaced(scheduler: diffusers.SchedulerMixin, spacing: str) -> Iterator[None]:
    """Give `scheduler` another spacing meanwhile."""
    own = scheduler.config.timestep_spacing
    scheduler.register_to_config(timestep_spacing=spacing)
    try:
        yield
    finally:
        scheduler.register_to_config(timestep_spacing=own)


def _rescale(scheduler: diffusers.SchedulerMixin) -> None:
    """Give `scheduler` the zero SNR of its base where its class in diffusers cannot, as the other classes do."""
    scheduler.betas = rescale_zero_terminal_snr(scheduler.betas)
    scheduler.alphas = 1.0 - scheduler.betas
    scheduler.alphas_cumprod = torch.cumprod(scheduler.alphas, dim=0)
    scheduler.alphas_cumprod[-1] = LEAST_SIGNAL


def queue_timesteps(net: nn.Module) -> None:
    """Make `net` (a UNet or ControlNet on its device) take timesteps in host memory without a stall.

    Stock nets move the number themselves, and at every step the host would wait for all that the GPU has to do.
    """
    net.register_forward_pre_hook(_upload_timestep, with_kwargs=True)


def _upload_timestep(
    _net: nn.Module, args: tuple[object, ...], named: dict[str, object]
) -> tuple[tuple[object, ...], dict[str, object]]:
    """Pipelines give sample and timestep, [] in host memory, by position or by name."""
    given = dict(zip(("sample", "timestep"), args, strict=False)) | named
    sample, timestep = cast(Tensor, given["sample"]), given["timestep"]
    if not isinstance(timestep, Tensor):
        return args, named
    there = transfers.upload(timestep, sample.device)
    if len(args) > 1:
        return (args[0], there, *args[2:]), named
    return args, {**named, "timestep": there}
