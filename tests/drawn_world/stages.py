"""The table of stages, in their order; each is imported when it runs, with what it needs."""

from collections.abc import Callable
from importlib import import_module

from drawn_world.workspace import Workspace

Stage = Callable[[Workspace], None]


def _later(module: str, function: str) -> Stage:
    def run(space: Workspace) -> None:
        """Import the stage and run it."""
        getattr(import_module(f"drawn_world.{module}"), function)(space)

    return run


STAGES: dict[str, Stage] = {
    "render": _later("drawings", "render"),
    "judge": _later("judge", "train"),
    "autoencoder": _later("autoencoder", "train"),
    "latents": _later("autoencoder", "encode_all"),
    "critic": _later("critic", "train"),
    "sd15": _later("sd15", "train"),
    "seen": _later("seen", "look"),
    "plus": _later("plus", "train"),
    "sdxl": _later("sdxl", "train"),
    "identity_net": _later("identity_net", "train"),
    "pulid": _later("pulid", "train"),
    "inpaint": _later("inpaint", "train"),
    "kolors": _later("kolors", "train"),
    "kolors_plus": _later("kolors", "train_plus"),
    "export": _later("export", "export"),
    "evaluate": _later("evaluate", "evaluate"),
}
