"""Stage critic: who, where and how, read from latents. Later frozen, it looks at what the UNets take for the picture.

Its three losses on the predicted latents pull on what a squared error hardly feels: likeness, places, expressions.
"""

import torch
from torch import Tensor
from torch.nn import functional

from drawn_world.latents import Batch, Latents
from drawn_world.loop import Loop
from drawn_world.networks import Critic, Reader
from drawn_world.pictures import facts_loss
from drawn_world.workspace import Workspace

PLACED_SHARE = 0.35
LATEST = 0.55
"""Share of the timesteps from which the predicted picture is too vague to be judged."""
WEIGHTS = (0.2, 0.2, 0.007)
"""Of identity, places, and each fact."""
EXPRESSION = 0.06
"""The expression's weight once mouths have a shape: nothing else teaches what they say."""


def train(space: Workspace) -> None:
    """Train it on latents with a little noise, as predictions have."""
    if space.weights("critic").exists():
        return
    torch.manual_seed(space.plan.seed + 3)
    net, latents, length = Critic(space.plan.latent_side), Latents(space), space.plan.critic
    known = latents.people_embeddings()
    loop = Loop("critic", net, length, space)
    for _ in loop:
        batch = latents.batch(length.batch, PLACED_SHARE, loop.numbers())
        generator = loop.generator()
        strength = 0.35 * torch.rand(length.batch, 1, 1, 1, generator=generator)
        noise = strength * torch.randn(batch.latents.shape, generator=generator)
        with space.autocast():
            seen = net(batch.latents + noise.to(space.device))
        who, where, facts = _losses(seen, batch, known)
        right = facts_loss(seen[2], batch.numbers)[1]
        loop.update(who + 5 * where + facts, {"cosine": 1 - who, "places": where, "facts": right.mean()})
    loop.finish()


def load(space: Workspace) -> Critic:
    """Return the trained critic, frozen."""
    net = Critic(space.plan.latent_side)
    net.load_state_dict(torch.load(space.weights("critic"), weights_only=True))
    return net.requires_grad_(False).eval().to(space.device)


def judge(
    critic: Critic, predicted: Tensor, batch: Batch, known: Tensor, told: Tensor, said: Tensor, clear: Tensor,
    mouths: bool,
) -> Tensor:  # fmt: skip
    """Return the weighted loss of `predicted` latents [B, 4, h, h].

    `told` [B] says which rows were given the person, `said` [B] which a prompt: likeness and facts count in those
    alone. `clear` [B] says how much each row counts. `mouths` says whether there are any yet.
    """
    identity, points, facts = critic(predicted)
    rows = 1 - functional.cosine_similarity(identity.float(), known[torch.from_numpy(batch.who).to(known.device)])
    where = (points.float() - batch.points.flatten(1)).abs().mean(1)
    parts = torch.split(facts.float(), Reader.SIZES, dim=1)
    likeness, places, fact = WEIGHTS
    weights = [fact, fact, EXPRESSION if mouths else fact]
    words = [functional.cross_entropy(part, batch.numbers[:, at], reduction="none") for at, part in enumerate(parts)]
    spoken = torch.stack([weight * word for weight, word in zip(weights, words, strict=True)]).sum(0)
    each = likeness * rows * told + places * where + spoken * said
    out: Tensor = (each * clear).sum() / clear.sum().clamp(min=1)
    return out


def _losses(seen: tuple[Tensor, Tensor, Tensor], batch: Batch, known: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return 1 - cosine to the person's mean embedding, the mean error of places, the facts' cross-entropy."""
    identity, points, facts = seen
    who = torch.from_numpy(batch.who).to(known.device)
    cosine = functional.cosine_similarity(identity.float(), known[who]).mean()
    where = (points.float() - batch.points.flatten(1)).abs().mean()
    return 1 - cosine, where, facts_loss(facts, batch.numbers)[0]
