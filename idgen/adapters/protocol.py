"""What an adapter is: one way of putting an identity into a denoiser's cross-attention.

A new one is a file in this folder and a line in table.py. R = 2B rows with guidance (all unconditional, then all
conditional), else B.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from idgen.column import Option
from idgen.networks.attention import Unet
from idgen.recipes.families import FamilyName

Options = Mapping[str, Option]
"""Row settings that change tokens (FaceID-PlusV2's shortcut_scale), by column name."""


@dataclass(frozen=True, slots=True)
class Person:
    """One identity as the face stage gives it; n references of the same person."""

    id_embedding: NDArray[np.float32]
    """[n, 512], raw; n = 0 when no adapter needs it."""
    crops: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)
    """Name of a variants.PictureNeed -> [n, S, S, 3]."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """What an adapter makes of one identity, float32."""

    cond: Tensor
    """[n, T, D]."""
    uncond: Tensor
    """[n, T, D]; constant per (adapter, options)."""
    context: tuple[Tensor, Tensor] | None = None
    """Conditional and unconditional [P, 16, 2048], what IdentityNet looks at; None for adapters that have none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Host:
    """What adapters hang into: a base's denoiser, and what they have to know of it."""

    denoiser: Unet
    family: FamilyName
    text_width: int | None
    """Of what the cross-attentions read; None where they do not agree."""
    text_projection: nn.Linear | None = None
    """What the denoiser brings the text encoder's states to that width with, if anything does."""


class Adapter(Protocol):
    """See the module's docstring."""

    name: str
    option_names: tuple[str, ...]
    """Columns that change tokens; they are part of the tokens' cache key."""
    through_text: bool
    """Tokens are as wide as the text encoder's states: the denoiser's projection of text brings them to branches."""
    gives_context: bool
    """Its tokens have a context for IdentityNet."""
    branches: nn.ModuleList
    """One Branch per attn2 in the official order, filled by `load`."""

    def to(self, device: torch.device) -> None:
        """Move the adapter's own modules; they compute in float32, whatever they are stored in."""
        ...

    def load(self, host: Host, files: Sequence[Path]) -> None:
        """Read the weights, hang the branches into `host`, merge LoRAs; once per load of a recipe.

        `files` are the weights and, where the recipe names them, its context_weights.

        Raises RunError when a file is not what the adapter reads or does not fit the base.
        """
        ...

    def forget(self) -> None:
        """Let go of what was computed for people; called when memory is short."""
        ...

    def encode(self, people: Sequence[Person], options: Options) -> list[Tokens]:
        """Return each person's tokens; needs no UNet, and a list gives what its people alone give."""
        ...
