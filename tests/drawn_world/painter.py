"""A base with one identity adapter learns from latents: what the bases' stages and some adapters' share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from drawn_world import critic, diffusion, prompts
from drawn_world.attention_cpu import plain_attention
from drawn_world.branches import Adapter
from drawn_world.diffusion import Noisy
from drawn_world.latents import Batch, Latents, face_map
from drawn_world.loop import Loop
from drawn_world.plan import Length
from drawn_world.workspace import Workspace

DROP_BOTH, DROP_TEXT, DROP_FACE = 0.05, 0.05, 0.12
"""Shares of the rows: nothing is said, no prompt, nobody. Nobody is half the tokens of zeros, half no branch at all."""
CHECK_AT = 0.25
HEEDED = 1.02
"""By what factor wrong words must be worse; 1.006 was measured where cross-attention was not used (lab.md)."""
NO_TEXT = 0.5
"""Share of dropped prompts that are None, where the family knows it."""

Tokens = Callable[[Batch, Tensor], Tensor]
"""(batch, which rows are told [B] 0 or 1) -> tokens [B, T, D]; rows that are not told get those of nobody."""
Residuals = Callable[[Batch, Noisy, Tensor, dict[str, Any]], dict[str, Any]]
"""What a ControlNet gives the UNet: (batch, noisy, tokens, words) -> keyword arguments."""


@dataclass(frozen=True, kw_only=True)
class Painter:
    """The modules of one family, and how they are fed."""

    unet: Any
    text: nn.Module
    adapter: Adapter | None = None
    tokens: Tokens | None = None
    residuals: Residuals | None = None
    prompt: Callable[[prompts.Facts, np.random.Generator], str] = prompts.english
    chinese: bool = False
    """Neutral texts are in Chinese half of the time."""
    none: bool = False
    """Dropped prompts are also None."""
    scales: tuple[float, float] = (1.0, 1.0)
    """Between which the adapter's scale lies."""
    placed_share: float = 0.0
    drops: tuple[float, float, float] = (DROP_BOTH, DROP_TEXT, DROP_FACE)

    def velocity(self, noisy: Noisy, batch: Batch, rows: "Rows", space: Workspace) -> Tensor:
        """Return the UNet's prediction for the rows as they are told."""
        with space.autocast(), plain_attention(space.device):
            words = self.text(rows.prompts)
            tokens = None
            if self.adapter is not None and self.tokens is not None:
                tokens = self.tokens(batch, rows.told)
                self.adapter.bind(tokens, rows.scale, torch.bfloat16)
            if self.residuals is not None and tokens is not None:
                words |= self.residuals(batch, noisy, tokens, words)
            given = noisy.latents.contiguous(memory_format=torch.channels_last)
            out: Tensor = self.unet(given, noisy.timesteps, **words, return_dict=False)[0]
        return out.float()


@dataclass(frozen=True, slots=True)
class Rows:
    """What each row of a batch is told."""

    prompts: list[str | None]
    told: Tensor  # [B] 1 where the person is given
    scale: Tensor  # [B] 0 where there is no branch
    said: Tensor  # [B] 1 where a prompt is given


def tell(painter: Painter, batch: Batch, rng: np.random.Generator) -> Rows:
    """Return prompts and persons of a batch, some of them dropped."""
    both, text, face = painter.drops
    lot = rng.random(len(batch.facts))
    no_text, no_face = lot < both + text, (lot < both) | ((lot >= both + text) & (lot < both + text + face))
    branchless = no_face & (rng.random(len(lot)) < 0.5)
    scale = np.where(branchless, 0.0, rng.uniform(*painter.scales, len(lot)))
    texts = [
        _nothing(painter, rng) if silent else painter.prompt(facts, rng)
        for facts, silent in zip(batch.facts, no_text, strict=True)
    ]
    told, scales, said = (
        torch.from_numpy(one).float().to(batch.latents.device) for one in (1.0 - no_face, scale, 1.0 - no_text)
    )
    return Rows(texts, told, scales, said)


def trained(space: Workspace, stage: str, made: Painter, parts: nn.ModuleDict) -> tuple[Painter, Any]:
    """Return the painter and its modules with what `stage` learnt, frozen."""
    parts.load_state_dict(torch.load(space.weights(stage), weights_only=True))
    parts.requires_grad_(False).to(space.device)
    return made, parts


def learn(
    space: Workspace, name: str, painter: Painter, parts: nn.Module, length: Length, *, people: int | None = None,
    critic_from: float = 0.02, mouths_from: float = 0.0, teacher: Painter | None = None, must_heed: bool = False,
) -> None:  # fmt: skip
    """Train `parts`, among them those of the painter that learn, and write them.

    The critic joins in from a share of the steps on, and minds expressions from another one on. Separation is measured
    after a quarter of the steps and at the end; what `must_heed` prompt and person and does not stops there, saved. A
    frozen `teacher`'s predictions are a share of the target (Plan.taught).
    """
    latents, look = Latents(space, people), critic.load(space)
    known = latents.people_embeddings()
    loop = Loop(name, parts, length, space, mean=0.9985)
    for step in loop:
        rng = loop.numbers()
        batch = latents.batch(length.batch, painter.placed_share, rng)
        noisy = diffusion.add_noise(batch.latents, loop.generator())
        rows = tell(painter, batch, rng)
        if teacher is not None:
            noisy = _taught(noisy, teacher, batch, rows, space)
        velocity = painter.velocity(noisy, batch, rows, space)
        faces = face_map(batch.points, space.plan.latent_side)
        errors = diffusion.error(noisy, velocity, faces)
        terms = {"loss": errors.mean()}
        total = terms["loss"]
        if loop.share >= critic_from:
            clear = (noisy.timesteps < critic.LATEST * diffusion.STEPS).float()
            with space.autocast():
                terms["critic"] = critic.judge(
                    look, noisy.clean(velocity), batch, known, rows.told, rows.said, clear, loop.share >= mouths_from
                )
            total = total + terms["critic"] * clear.mean()
        loop.update(total, terms)
        if step + 1 == round(CHECK_AT * length.steps):
            figures = separation(space, painter, latents)
            space.note(name, **figures)
            if must_heed and space.plan.stops_early and not heeds(figures):
                loop.save()
                raise RuntimeError(f"{name} heeds not both prompt and person after {step + 1} steps: {figures}")
    loop.use_smooth()
    space.note(name, **separation(space, painter, latents))
    loop.finish()


@torch.no_grad()
def separation(space: Workspace, painter: Painter, latents: Latents) -> dict[str, float]:
    """Return the error of people nobody learnt from, at two times: all right, wrong prompt, wrong person."""
    size = space.plan.measured
    batch = latents.batch(size, 0.0, np.random.default_rng(5), held_back=True)
    figures = {}
    for time in (500, 800):
        noisy = diffusion.add_noise(batch.latents, torch.Generator().manual_seed(5), torch.full((size,), time))
        faces = face_map(batch.points, space.plan.latent_side)
        rng = np.random.default_rng(6)
        right = [painter.prompt(facts, rng) for facts in batch.facts]
        ones = torch.ones(size, device=space.device)
        others = replace(
            batch, embeddings=batch.embeddings.roll(1, 0), who=np.roll(batch.who, 1), which=np.roll(batch.which, 1)
        )
        kinds = {
            "right": (right, batch),
            "wrong_prompt": ([*right[1:], right[0]], batch),
            "wrong_person": (right, others),
        }
        for kind, (said, told) in kinds.items():
            velocity = painter.velocity(noisy, told, Rows(list(said), ones, ones, ones), space)
            figures[f"{kind}_{time}"] = float(diffusion.error(noisy, velocity, faces).mean() / noisy.weights()[0])
    return figures


def heeds(figures: Mapping[str, float]) -> bool:
    """Say whether a wrong prompt and a wrong person both make the error larger where noise hides the picture."""
    right = figures["right_800"]
    return all(figures[f"wrong_{kind}_800"] > HEEDED * right for kind in ("prompt", "person"))


@torch.no_grad()
def _taught(noisy: Noisy, teacher: Painter, batch: Batch, rows: Rows, space: Workspace) -> Noisy:
    """Return `noisy` with a share of the teacher's prediction in its target, in rows of large faces, which it knows."""
    known = torch.tensor([facts.portrait for facts in batch.facts], device=noisy.target.device)
    share = space.plan.taught * known.float()[:, None, None, None]
    return replace(noisy, target=noisy.target.lerp(teacher.velocity(noisy, batch, rows, space), share))


def _nothing(painter: Painter, rng: np.random.Generator) -> str | None:
    if painter.none and rng.random() < NO_TEXT:
        return None
    return prompts.neutral(rng, in_chinese=painter.chinese and rng.random() < 0.5)
