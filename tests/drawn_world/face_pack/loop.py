"""What both trainings share: optimiser, learning rate, checkpoints that a stopped run goes on from, progress lines."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

_log = logging.getLogger(__name__)
_LOG_EVERY, _SAVE_EVERY = 50, 250


class Loop:
    """One run over `steps` with AdamW; `parts` is everything that is trained or must be kept."""

    def __init__(self, parts: nn.Module, steps: int, checkpoint: Path, rate: float = 2e-3, decay: float = 0.02) -> None:
        self.parts, self.steps, self.checkpoint, self.done = parts, steps, checkpoint, 0
        self._trained = [weight for weight in parts.parameters() if weight.requires_grad]
        self._optimizer = torch.optim.AdamW(self._trained, lr=rate, weight_decay=decay)
        self._peak = rate
        self._sums: dict[str, float] = {}
        if checkpoint.exists():
            saved = torch.load(checkpoint, weights_only=True)
            self.done = saved["step"]
            for name, part in self._stateful().items():
                part.load_state_dict(saved[name])
        self._first, self._begin = self.done, time.monotonic()

    def __iter__(self) -> Iterator[int]:
        """Number of each step still to be made."""
        yield from range(self.done, self.steps)

    def rate(self) -> float:
        """Up over 7 %, then a half cosine to zero; a stopped run may go on to another number of steps."""
        done, warm = self.done / self.steps, 0.07
        share = done / warm if done < warm else 0.5 + 0.5 * math.cos(math.pi * (done - warm) / (1 - warm))
        return self._peak * max(share, 0.01)

    def freeze_norms_late(self, net: nn.Module, share: float = 0.6) -> None:
        """From `share` of the run on, norm with the statistics gathered so far, as the exported network will.

        Without it the places a detector gives are half as exact at work as in training: a batch of 16 pictures has
        statistics of its own, and the network learns to lean on them.
        """
        if self.done < share * self.steps:
            return
        for module in net.modules():
            if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
                module.eval()

    def update(self, loss: Tensor, shown: dict[str, float]) -> None:
        """Learn from `loss`; the mean of the numbers `shown` goes into the next progress line."""
        for group in self._optimizer.param_groups:
            group["lr"] = self.rate()
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._trained, 5.0)
        self._optimizer.step()
        self.done += 1
        for name, value in shown.items():
            self._sums[name] = self._sums.get(name, 0.0) + value / _LOG_EVERY
        if self.done % _LOG_EVERY == 0:
            left = (time.monotonic() - self._begin) / (self.done - self._first) * (self.steps - self.done)
            means = " ".join(f"{name} {value:.4f}" for name, value in self._sums.items())
            _log.info("step %d/%d %s left %.0f s", self.done, self.steps, means, left)
            self._sums.clear()

    def save(self) -> None:
        """Write the checkpoint when its turn has come; call it last in each step."""
        if self.done % _SAVE_EVERY == 0 or self.done == self.steps:
            draft = self.checkpoint.with_suffix(".draft")
            states = {name: part.state_dict() for name, part in self._stateful().items()}
            torch.save({"step": self.done, **states}, draft)
            draft.replace(self.checkpoint)

    def _stateful(self) -> dict[str, nn.Module | torch.optim.Optimizer]:
        return {"parts": self.parts, "optimizer": self._optimizer}
