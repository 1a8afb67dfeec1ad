"""What the sampler is asked for: rows that may share a batch, and the bucket that says so. No torch here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

EMBEDDING_WIDTH = 512


@dataclass(frozen=True, kw_only=True, slots=True)
class Bucket:
    """What all rows of a batch have in common."""

    width: int
    height: int
    num_inference_steps: int
    scheduler: str
    guidance_scale: float
    n_references: int = 1

    @classmethod
    def from_picture(cls, picture: Mapping[str, Any]) -> "Bucket":
        """Return the bucket of a row of `schemas.ANALYSED`."""
        return cls(
            width=int(picture["width"]),
            height=int(picture["height"]),
            num_inference_steps=int(picture["num_inference_steps"]),
            scheduler=str(picture["scheduler"]),
            guidance_scale=float(picture["guidance_scale"]),
            n_references=len(picture["id_embedding"]) // EMBEDDING_WIDTH,
        )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SampleRow:
    """One picture to sample. Everything here may differ from row to row inside a batch."""

    key: str
    prompt: str
    negative_prompt: str | None
    """None = the same as ""."""
    seed: int
    id_embedding: NDArray[np.float32]
    """[n, 512], raw as the face pack gives it."""
    ip_adapter_scale: float = 1.0
    """Of the recipe's first adapter, where `ip_adapter_scales` does not name it."""
    ip_adapter_scales: Mapping[str, float] = field(default_factory=dict)
    """By adapter name; 1 for others that are absent."""
    options: Mapping[str, float] = field(default_factory=dict)
    """Columns that change an adapter's tokens."""

    @classmethod
    def from_picture(cls, picture: Mapping[str, Any]) -> "SampleRow":
        """Return the row of a picture of `schemas.ANALYSED` (as a dict of Python values)."""
        return cls(
            key=str(picture["key"]),
            prompt=picture["prompt"] or "",
            negative_prompt=picture["negative_prompt"],
            seed=int(picture["seed"]),
            id_embedding=np.asarray(picture["id_embedding"], np.float32).reshape(-1, EMBEDDING_WIDTH),
            ip_adapter_scale=_or(picture.get("ip_adapter_scale"), 1.0),
            ip_adapter_scales=dict(picture.get("ip_adapter_scales") or {}),
            options={name: float(picture[name]) for name in _OPTIONS if picture.get(name) is not None},
        )

    def scale(self, adapter: str, position: int) -> float:
        """Return the strength of the recipe's adapter number `position`."""
        return self.ip_adapter_scales.get(adapter, self.ip_adapter_scale if position == 0 else 1.0)


_OPTIONS = ("shortcut_scale",)


def _or(value: float | None, default: float) -> float:
    """A scale of 0 is a value; only null is none."""
    return default if value is None else float(value)
