"""One training run: AdamW, the rate's way up and down, a mean of the weights, checkpoints, progress lines.

What a step sees depends on its number alone, so a run that was stopped and went on ends in the same weights as one that
was not.
"""

import math
import time
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from drawn_world.plan import Length
from drawn_world.workspace import PausedError, Workspace

LOG_EVERY = 50
SAVE_SECONDS = 120.0
CLIP = 1.0


class Loop:
    """Trains those of `parts`' parameters that require gradients; `mean` smooths them (0 = not at all).

    loop = Loop("critic", net, plan.critic, space)
    for step in loop:
        loop.update(loss, {"what": value})
    loop.finish()      # writes the smoothed weights, and puts them into `parts`
    """

    def __init__(self, name: str, parts: nn.Module, length: Length, space: Workspace, mean: float = 0.998) -> None:
        self.name, self.parts, self.length, self.space = name, parts.to(space.device), length, space
        self.done = 0
        self._mean = mean
        self._trained = [weight for weight in parts.parameters() if weight.requires_grad]
        self._smooth = [weight.detach().clone() for weight in self._trained]
        self._optimizer = torch.optim.AdamW(
            self._trained, lr=length.rate, weight_decay=0.01, betas=(0.9, 0.99), fused=True
        )
        self._sums: dict[str, Tensor] = {}
        self._counted = 0
        if space.checkpoint(name).exists():
            self._load()
        self._first, self._begin, self._saved = self.done, time.monotonic(), time.monotonic()

    def __iter__(self) -> Iterator[int]:
        """Number of each step still to be made. Raises PausedError, all saved, when the time given is over."""
        while self.done < self.length.steps:
            if time.monotonic() > self.space.deadline:
                self.save()
                raise PausedError
            yield self.done

    def numbers(self) -> np.random.Generator:
        """Return this step's random numbers, the same however often it is made."""
        return np.random.default_rng([self.space.plan.seed, len(self.name), *self.name.encode(), self.done])

    def generator(self) -> torch.Generator:
        """Return this step's generator of noise, on the CPU: the same on every device."""
        return torch.Generator().manual_seed(int(self.numbers().integers(2**62)))

    @property
    def share(self) -> float:
        """How much of the run is done, 0 to 1."""
        return self.done / self.length.steps

    def rate(self) -> float:
        """Up, then a half cosine to a hundredth."""
        warm = self.length.warm
        if self.share < warm:
            return self.length.rate * (self.done + 1) / (warm * self.length.steps + 1)
        return self.length.rate * max(0.01, 0.5 + 0.5 * math.cos(math.pi * (self.share - warm) / (1 - warm)))

    def update(self, loss: Tensor, shown: dict[str, Tensor]) -> None:
        """Learn from `loss`; the means of the numbers `shown` go into the next progress line."""
        for group in self._optimizer.param_groups:
            group["lr"] = self.rate()
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._trained, CLIP)
        self._optimizer.step()
        self.done += 1
        mean = min(self._mean, self.done / (self.done + 10))
        torch._foreach_lerp_(self._smooth, [weight.detach() for weight in self._trained], 1 - mean)
        self._show(shown)
        if time.monotonic() - self._saved > SAVE_SECONDS:
            self.save()

    def finish(self) -> None:
        """Put the smoothed weights into `parts` and write them; the checkpoint is no longer needed."""
        self.use_smooth()
        path = self.space.weights(self.name)
        draft = path.with_suffix(".draft")
        torch.save({name: tensor.cpu() for name, tensor in self.parts.state_dict().items()}, draft)
        draft.replace(path)
        self.space.checkpoint(self.name).unlink(missing_ok=True)
        self.space.note(self.name, finished=self.done, seconds=round(time.monotonic() - self._begin, 1))

    def use_smooth(self) -> None:
        """Put the smoothed weights into `parts`; training cannot go on after it."""
        torch._foreach_copy_([weight.data for weight in self._trained], self._smooth)

    def save(self) -> None:
        """Write the checkpoint."""
        path = self.space.checkpoint(self.name)
        draft = path.with_suffix(".draft")
        state = {
            "step": self.done,
            "parts": self.parts.state_dict(),
            "smooth": self._smooth,
            "optimizer": self._optimizer.state_dict(),
        }
        torch.save(state, draft)
        draft.replace(path)
        self._saved = time.monotonic()

    def _load(self) -> None:
        saved = torch.load(self.space.checkpoint(self.name), map_location=self.space.device, weights_only=True)
        self.done = saved["step"]
        self.parts.load_state_dict(saved["parts"])
        self._smooth = saved["smooth"]
        self._optimizer.load_state_dict(saved["optimizer"])

    def _show(self, shown: dict[str, Tensor]) -> None:
        for name, value in shown.items():
            before = self._sums.get(name)  # on the device: a look at every step would hold it up
            self._sums[name] = value.detach() if before is None else before + value.detach()
        self._counted += 1
        if self.done % LOG_EVERY == 0 or self.done == self.length.steps:
            each = (time.monotonic() - self._begin) / (self.done - self._first)
            means = {name: float(value) / self._counted for name, value in self._sums.items()}
            left = round(each * (self.length.steps - self.done))
            self.space.note(self.name, step=self.done, of=self.length.steps, **means,
                            ms_per_sample=1e3 * each / self.length.batch, left_s=left)  # fmt: skip
            self._sums.clear()
            self._counted = 0
