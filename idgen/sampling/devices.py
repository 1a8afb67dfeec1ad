"""Checks that torch has the device an actor needs, with a clear message when it does not."""

import os

import torch

from idgen.errors import Exit, MachineError

VISIBLE = "CUDA_VISIBLE_DEVICES"
"""Ray sets it for every process: the GPUs that the actor has asked for, which are 0, 1, … inside."""
HIDDEN = ("", "-1", "NoDevFiles")
"""Values that show a process no GPU; the last is what containers without one are given."""


def check_device(device: str) -> None:
    """Raise MachineError (usage) when `device` is a GPU that torch does not see in this process."""
    asked = torch.device(device)
    if asked.type != "cuda" or (torch.cuda.is_available() and (asked.index or 0) < torch.cuda.device_count()):
        return
    built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built for the CPU only"
    visible = os.environ.get(VISIBLE)
    shown = "not set" if visible is None else repr(visible)
    raise MachineError(
        Exit.USAGE,
        f"torch {torch.__version__}, {built}, sees no GPU for device {device}; {VISIBLE} is {shown}: "
        + _remedy(visible),
    )


def _remedy(visible: str | None) -> str:
    if torch.version.cuda is None:
        return "install torch's CUDA build on this node, or set sampling.num_gpus=0 to sample on the CPU"
    if visible in HIDDEN:
        return "the actor has no GPU; set sampling.num_gpus (texts.num_gpus), or sampling.device=cpu"
    return "see nvidia-smi on this node; its driver must be new enough for that CUDA version"
