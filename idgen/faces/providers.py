"""Which of onnxruntime's execution providers run the face networks, and whether they really do.

onnxruntime takes a provider that it does not have for a wish: it warns, and everything runs on the CPU.
"""

from collections.abc import Iterable
from typing import Protocol

import onnxruntime

from idgen.errors import Exit, MachineError

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
CUDA_OPTIONS = {
    "device_id": "0",  # Ray shows an actor its own devices alone, so the first is the right one
    "use_tf32": "0",  # on by default; an embedding is to be the CPU's but for rounding
    "cudnn_conv_algo_search": "HEURISTIC",  # the default measures, and what it takes differs from process to process
    "arena_extend_strategy": "kSameAsRequested",  # the default doubles what it holds, and a UNet may sit beside it
}
REMEDY = (
    "pip install onnxruntime-gpu in place of onnxruntime (the extra .[gpu] of this project) with the CUDA and cuDNN it "
    "asks for, or set faces.num_gpus=0"
)


class Session(Protocol):
    """What is used of onnxruntime's sessions, which carry no types."""

    def get_providers(self) -> list[str]:
        """Return the names of those that run it."""
        ...


Provider = str | tuple[str, dict[str, str]]


def providers(device: str) -> list[Provider]:
    """Return what a session on `device` (cpu | cuda) is made with, in order of preference.

    Raises MachineError (usage) when this onnxruntime has no CUDA, ValueError for another device.
    """
    if device not in ("cpu", "cuda"):
        raise ValueError(f"faces are analysed on cpu or cuda, not on {device!r}")
    if device == "cpu":
        return [CPU]
    there = onnxruntime.get_available_providers()
    if CUDA not in there:
        raise MachineError(
            Exit.USAGE,
            f"faces are to be analysed on a GPU, but onnxruntime {onnxruntime.__version__} has no CUDA: {REMEDY}",
        )
    return [(CUDA, dict(CUDA_OPTIONS)), CPU]


def check(sessions: Iterable[Session], device: str) -> None:
    """Raise MachineError (usage) when one of `sessions` was to run on CUDA and does not."""
    if device == "cuda" and any(CUDA not in session.get_providers() for session in sessions):
        raise MachineError(
            Exit.USAGE,
            f"faces are to be analysed on a GPU, but onnxruntime {onnxruntime.__version__} could not start CUDA (no "
            f"GPU for this process, or no CUDA and cuDNN of its version): {REMEDY}",
        )
