"""Stages kolors and kolors_plus: SDXL's UNet behind ChatGLM, English and Chinese, and Kolors-FaceID-Plus on it.

The UNet begins as SDXL's, and only what reads words learns on: its other tensors stay the same, so they need be stored
once. ChatGLM first learns, without any UNet, to say what SDXL's pooled text says; then both learn, with the embedding's
tokens alone; then FaceID-Plus learns to see on the frozen base.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from drawn_world import layouts, painter, plus, prompts, sdxl
from drawn_world.branches import Adapter
from drawn_world.latents import Batch
from drawn_world.loop import Loop
from drawn_world.painter import Painter
from drawn_world.prompts import Facts
from drawn_world.seen import CLIP
from drawn_world.towers import KolorsText, Words
from drawn_world.workspace import Workspace
from idgen.networks.projections import FaceIdProjection

TOKENS, HIDDEN = 6, 256
CHINESE_SHARE = 0.5
READS_WORDS = ("attn2.to_k.", "attn2.to_v.", "encoder_hid_proj.", "add_embedding.")
"""In the names of the UNet's parameters that learn."""


class Reading(nn.Module):
    """ChatGLM and what reads SDXL's pooled text out of its own."""

    def __init__(self, text: KolorsText) -> None:
        super().__init__()
        self.text = text
        self.linear = nn.Linear(layouts.STATE_WIDTH, layouts.TOWER_WIDTH, bias=False)


def train(space: Workspace) -> None:
    """Train ChatGLM, then UNet and ChatGLM, with the tokens of FaceID-Plus's embedding."""
    if not space.weights("kolors_reading").exists():
        _learn_to_read(space)
    if space.weights("kolors").exists():
        return
    torch.manual_seed(space.plan.seed + 60)
    made, parts = assemble(space)
    _begin(space, parts)
    painter.learn(space, "kolors", made, parts, space.plan.kolors)


def train_plus(space: Workspace) -> None:
    """Train projection, perceiver and branches of FaceID-Plus on the frozen base."""
    if space.weights("kolors_plus").exists():
        return
    torch.manual_seed(space.plan.seed + 70)
    base, parts = load(space)
    adapter = base.adapter
    assert adapter is not None
    seen = CLIP["clip_vit_l_336"]["hidden_size"]
    projection = plus.perceiving(TOKENS, HIDDEN, layouts.STATE_WIDTH, seen)
    projection.load_state_dict(parts["adapter"].projection.state_dict(), strict=False)
    adapter.projection = projection
    adapter.requires_grad_(True)
    look = plus.tokens(projection, space, "seen_clip_l", normed=False)
    made = replace(base, tokens=through_text(look, base.unet))
    painter.learn(space, "kolors_plus", made, adapter, space.plan.kolors_plus, people=space.plan.seen_people)


def assemble(space: Workspace) -> tuple[Painter, nn.ModuleDict]:
    """Return the painter, with random weights, and its modules as they are saved."""
    unet = UNet2DConditionModel(**layouts.kolors(space.plan)).to(memory_format=torch.channels_last)
    text = KolorsText(space)
    projection = FaceIdProjection(512, HIDDEN, TOKENS, layouts.STATE_WIDTH)
    adapter = Adapter(unet, projection, space.plan.text_width)
    parts = nn.ModuleDict({"unet": unet, "text": text, "adapter": adapter})
    made = Painter(unet=unet, text=text, adapter=adapter, tokens=through_text(_raw(projection), unet), prompt=bilingual,
                   chinese=True)  # fmt: skip
    return made, parts


def load(space: Workspace) -> tuple[Painter, Any]:
    """Return the trained painter, frozen, and its modules."""
    return painter.trained(space, "kolors", *assemble(space))


def bilingual(facts: Facts, rng: np.random.Generator) -> str:
    """Return an English or a Chinese prompt."""
    return (prompts.chinese if rng.random() < CHINESE_SHARE else prompts.english)(facts, rng)


def through_text(tokens: painter.Tokens, unet: Any) -> painter.Tokens:
    """Bring tokens as wide as ChatGLM's states to the UNet's text width, as the product does."""

    def make(batch: Batch, told: Tensor) -> Tensor:
        """Return tokens [B, T, D] at the UNet's text width."""
        out: Tensor = unet.encoder_hid_proj(tokens(batch, told))
        return out

    return make


def _learn_to_read(space: Workspace) -> None:
    """Teach ChatGLM to say, of any wording in either language, what SDXL's pooled text says of the facts."""
    torch.manual_seed(space.plan.seed + 61)
    base, _ = sdxl.load(space)
    reading, length = Reading(KolorsText(space)), space.plan.kolors_reading
    loop = Loop("kolors_reading", reading, length, space)
    for _ in loop:
        rng = loop.numbers()
        facts = [Facts.of(rng.integers((8, 8, 2)).tolist(), bool(rng.random() < 0.7)) for _ in range(length.batch)]
        with torch.no_grad():
            wanted = _pooled(base.text([prompts.english(one, rng, whole=True) for one in facts]))
        with space.autocast():
            found = reading.linear(_pooled(reading.text([bilingual(one, rng) for one in facts])))
        loss = ((found.float() - wanted) ** 2).mean() / wanted.var().clamp(min=1e-6)
        loop.update(loss, {"unexplained": loss})
    loop.finish()


def _begin(space: Workspace, parts: Any) -> None:
    """Put in what is known: SDXL's UNet, ChatGLM as it reads, InstantID's branches."""
    _, known = sdxl.load(space)
    reading = Reading(KolorsText(space))
    reading.load_state_dict(torch.load(space.weights("kolors_reading"), weights_only=True))
    parts["text"].load_state_dict(reading.text.state_dict())
    unet, old = parts["unet"], known["unet"]
    first = old.add_embedding.linear_1.weight
    state = {name: one for name, one in old.state_dict().items() if name != "add_embedding.linear_1.weight"}
    unet.load_state_dict(state, strict=False)
    with torch.no_grad():
        width = layouts.TOWER_WIDTH
        pooled = first[:, :width] @ reading.linear.weight
        unet.add_embedding.linear_1.weight.copy_(torch.cat([pooled, first[:, width:]], dim=1))
    for name, parameter in unet.named_parameters():
        parameter.requires_grad_(any(part in name for part in READS_WORDS))
    for mine, other in zip(parts["adapter"].branches, known["adapter"].branches, strict=True):
        mine.load_state_dict(other.state_dict())


def _pooled(words: Words) -> Tensor:
    pooled: Tensor = words["added_cond_kwargs"]["text_embeds"]
    return pooled


def _raw(projection: nn.Module) -> painter.Tokens:
    def tokens(batch: Batch, told: Tensor) -> Tensor:
        """Return tokens [B, T, D]; of nobody where `told` is 0."""
        out: Tensor = projection(batch.embeddings * told[:, None])
        return out

    return tokens
