"""Makes diffusers' schedulers from names, and brings their timesteps to the nets."""

import inspect
from collections.abc import Mapping
from typing import Any

import diffusers
import torch
from diffusers.schedulers.scheduling_euler_discrete import rescale_zero_terminal_snr
from torch import Tensor, nn

from idgen.errors import Exit, RunError
from idgen.networks import transfers
from idgen.sampling.scheduler_names import SCHEDULERS, names

LEAST_SIGNAL = 2.0**-24
"""What diffusers has for a signal of zero, whose sigma would be infinite."""


class HostTimesteps:
    """Mix-in that keeps the timesteps in host memory.

    Stock schedulers put them on the device and then read tables in host memory by them: one stall per step with DDIM
    and LCM, one per batch with the others. The nets are given the one number they need by `queue_timesteps`.
    """

    def set_timesteps(
        self,
        num_inference_steps: int | None = None,
        device: object = None,
        *args: Any,  # noqa: ANN401
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        """Same as diffusers', on the CPU whatever `device` says."""
        super().set_timesteps(num_inference_steps, "cpu", *args, **kwargs)  # type: ignore[misc]
        self._start_at_first()
        if (
            type(self).__name__ == "EulerAncestralDiscreteScheduler"
            and self.config.beta_schedule == "squaredcos_cap_v2"
        ):  # type: ignore[attr-defined]
            # differences of squares of sigmas so great leave nothing in float32
            self.sigmas = self.sigmas.double()  # type: ignore[has-type]

    def _start_at_first(self) -> None:
        """Begin at the first step, not at the second where both have one timestep.

        Karras' sigmas of zero SNR give that from 21 steps on; stock schedulers then go one step too far. Pipelines that
        begin later, from an image, say so afterwards.
        """
        begin = getattr(self, "set_begin_index", None)
        if begin is not None:
            begin(0)


def make(name: str, base_config: Mapping[str, object], spacing: str = "") -> Any:  # noqa: ANN401
    """Return the scheduler called `name` on top of the base's scheduler config; `spacing` beats the table's if given.

    Raises RunError that lists the names when there is none of that name.
    """
    if name not in SCHEDULERS:
        raise RunError(Exit.USAGE, f"no scheduler is called {name!r}; there are {', '.join(names())}")
    spec = SCHEDULERS[name]
    stock = getattr(diffusers, spec.class_name)
    on_host: Any = type(stock.__name__, (HostTimesteps, stock), {})
    settings = {**spec.settings, **({"timestep_spacing": spacing} if spacing else {})}
    made = on_host.from_config(dict(base_config), **settings)
    if (
        base_config.get("rescale_betas_zero_snr")
        and "rescale_betas_zero_snr" not in inspect.signature(stock).parameters
    ):
        _rescale(made)
    return made


def _rescale(scheduler: Any) -> None:  # noqa: ANN401
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
    _net: nn.Module, args: tuple[Any, ...], named: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Pipelines give sample and timestep, [] in host memory, by position or by name."""
    given = dict(zip(("sample", "timestep"), args, strict=False)) | named
    sample, timestep = given["sample"], given["timestep"]
    if not isinstance(timestep, Tensor):
        return args, named
    there = transfers.upload(timestep, sample.device)
    if len(args) > 1:
        return (args[0], there, *args[2:]), named
    return args, {**named, "timestep": there}
