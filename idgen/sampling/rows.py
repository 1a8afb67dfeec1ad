"""What the sampler is asked for: rows that may share a batch, and the bucket that says so. No torch here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

EMBEDDING_WIDTH = 512


@dataclass(frozen=True, kw_only=True, slots=True)
class ControlUse:
    """How one of the recipe's ControlNets is used in a batch."""

    name: str
    scale: float
    start: float = 0.0
    end: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Bucket:
    """What all rows of a batch have in common."""

    width: int
    height: int
    num_inference_steps: int
    scheduler: str
    guidance_scale: float
    n_references: int = 1
    n_pictures: int = 1
    """Picture prompts per row; 1 when ip_adapter_image_uri is given, else as many as references."""
    strength: float | None = None
    """Of image to image; None = the picture starts from noise alone."""
    controls: tuple[ControlUse, ...] = ()
    """In the recipe's order; those that the rows bring no image for are left out."""

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
    crops: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)
    """Name of a variants.PictureNeed -> [n, S, S, 3]."""
    init_image: NDArray[np.uint8] | None = None
    """[H, W, 3] at the output's size; None = start from noise."""
    control_images: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)
    """Control's name -> [H, W, 3] at the output's size."""

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
