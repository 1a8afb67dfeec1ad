"""Stage plus: FaceID-PlusV2 on the frozen SD1.5-like base, from FaceID's projection and branches, with a LoRA.

At a shortcut scale of 0 it is nearly FaceID; what the perceiver sees of the cut out face is added.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from drawn_world import drawings, painter, sd15
from drawn_world.branches import hang_lora
from drawn_world.latents import Batch
from drawn_world.seen import CLIP
from drawn_world.workspace import Workspace
from idgen.networks.image_encoder import ImageEncoder
from idgen.networks.resampler import FaceIdPlusProjection, FacePerceiver

DEPTH = 2
QUIET = 0.1
"""Of the perceiver's last norm at first: it begins as FaceID."""


def train(space: Workspace) -> None:
    """Train projection, branches and LoRA."""
    if space.weights("plus").exists():
        return
    torch.manual_seed(space.plan.seed + 50)
    base, parts = sd15.load(space)
    adapter = base.adapter
    assert adapter is not None
    wide = space.plan.text_width
    projection = perceiving(sd15.TOKENS, sd15.HIDDEN, wide, CLIP["clip_vit_h"]["hidden_size"])
    projection.load_state_dict(parts["adapter"].projection.state_dict(), strict=False)
    adapter.projection = projection
    adapter.requires_grad_(True)
    lora = hang_lora(base.unet)
    for one in lora.values():
        one.get_submodule("linear").requires_grad_(False)
    nobody = ImageEncoder.load(space.folder / "encoders" / "clip_vit_h", torch.float32).zeros.hidden_states[0]
    made = replace(base, tokens=tokens(projection, space, "seen_clip_h", normed=True, nobody=nobody.clone()))
    learnt = Learnt(nn.ModuleDict({"adapter": adapter, "lora": lora}))
    painter.learn(space, "plus", made, learnt, space.plan.plus, people=space.plan.seen_people)


class Learnt(nn.Module):
    """Modules whose frozen layers are not saved once more."""

    def __init__(self, parts: nn.ModuleDict) -> None:
        super().__init__()
        self.parts = parts

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        """As torch's, without what the LoRAs are around."""
        return {name: one for name, one in super().state_dict(*args, **kwargs).items() if ".linear." not in name}

    def load_state_dict(self, state_dict: Any, *args: Any, **kwargs: Any) -> Any:
        """As torch's; what is not in `state_dict` stays."""
        return super().load_state_dict(state_dict, strict=False)


def perceiving(count: int, hidden: int, width: int, seen: int) -> FaceIdPlusProjection:
    """Return a projection of embeddings and hidden states to `count` tokens, its perceiver quiet."""
    perceiver = FacePerceiver(seen, width, width, width, DEPTH)
    nn.init.constant_(perceiver.norm_out.weight, QUIET)
    return FaceIdPlusProjection(512, hidden, count, width, perceiver)


def tokens(
    projection: FaceIdPlusProjection, space: Workspace, features: str, *, normed: bool, nobody: Tensor | None = None
) -> painter.Tokens:
    """Return what makes tokens of embeddings and of `features`; nobody has the features `nobody`, or zeros."""
    seen = np.asarray(drawings.load(space, features))

    def make(batch: Batch, told: Tensor) -> Tensor:
        """Return tokens [B, T, D]; of nobody where `told` is 0."""
        given = nn.functional.normalize(batch.embeddings, dim=-1) if normed else batch.embeddings
        states = torch.from_numpy(seen[batch.who, batch.which]).float().to(space.device)
        share = told[:, None, None]
        states = states * share if nobody is None else states * share + nobody.to(states) * (1 - share)
        return projection.look(given * told[:, None], states, 1.0)

    return make
