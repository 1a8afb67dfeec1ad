"""Makes diffusers' schedulers from names, and brings their timesteps to the nets."""

from collections.abc import Mapping
from typing import Any

import diffusers
from torch import Tensor, nn

from idgen.errors import Exit, RunError
from idgen.networks import transfers
from idgen.sampling.scheduler_names import SCHEDULERS, names


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
    return on_host.from_config(dict(base_config), **settings)


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
