"""What all stages share: the folder they write to, the plan, the device, the journal and the hour to stop at."""

import json
import logging
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from drawn_world.plan import Plan

_log = logging.getLogger(__name__)


class PausedError(Exception):
    """The time given is over: everything is saved, the same command goes on."""


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """One folder of a training. Files appear under their names only when they are complete."""

    folder: Path
    plan: Plan
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    processes: int = 1
    """That draw at the same time."""
    deadline: float = float("inf")
    """Of time.monotonic, after which stages stop where they are."""

    def data(self, name: str) -> Path:
        """Return where the array `name` is or will be."""
        return self._in("data", f"{name}.npy")

    def weights(self, name: str) -> Path:
        """Return where the finished weights `name` are or will be: a state dict."""
        return self._in("weights", f"{name}.pt")

    def checkpoint(self, name: str) -> Path:
        """Return where the training `name` is saved on its way."""
        return self._in("checkpoints", f"{name}.pt")

    def note(self, stage: str, **figures: Any) -> None:
        """Write figures into the journal and the log."""
        line = {"time": round(time.time(), 1), "stage": stage, **figures}
        with (self.folder / "journal.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        shown = " ".join(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
                         for name, value in figures.items())  # fmt: skip
        _log.info("%s: %s", stage, shown)

    def check_time(self) -> None:
        """Raise PausedError when the time given is over."""
        if time.monotonic() > self.deadline:
            raise PausedError

    def autocast(self) -> torch.autocast:
        """Return the context in which large networks compute in bfloat16."""
        return torch.autocast(self.device.type, torch.bfloat16)

    def _in(self, room: str, name: str) -> Path:
        (self.folder / room).mkdir(parents=True, exist_ok=True)
        return self.folder / room / name
