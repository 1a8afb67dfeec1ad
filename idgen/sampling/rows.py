"""The sampler's input: rows that may share a batch, and the bucket of what they share. No torch here."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isqrt
from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from idgen.column import Option, Role, Scope
from idgen.columns import (
    BY_NAME,
    FACE_DRAWING,
    INIT_IMAGE,
    MAP_OF,
    MASK_IMAGE,
    NETS,
    SCALE_OF,
    TOLD_SIZES,
    names_of,
)
from idgen.schemas import EMBEDDING_WIDTH, PictureRow
from idgen.values import Cell

Kind = TypeVar("Kind", bool, int, float, str)


@dataclass(frozen=True, kw_only=True, slots=True)
class ControlUse:
    """How one of the recipe's ControlNets is used in a batch."""

    name: str
    scale: float
    start: float | None = None
    """Share of the steps at which it begins; None = the recipe's."""
    end: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Bucket:
    """What all rows of a batch have in common."""

    width: int
    height: int
    num_inference_steps: int
    scheduler: str
    guidance_scale: float
    n_references: int = 1
    strength: float | None = None
    """Of image to image; None = the picture starts from noise alone."""
    controls: tuple[ControlUse, ...] = ()
    """In the order of NETS; those that the rows bring no image for are left out. identity's scale here is 1: each row
    has its own (SampleRow.identity_scale)."""
    face_pass: bool = False
    """Small faces of the finished pictures are sampled again."""
    options: tuple[tuple[str, Option], ...] = ()
    """Columns of role OPTION and scope BATCH that the rows set, with their values."""

    def option(self, name: str, default: Kind) -> Kind:
        """Return what the rows say in a column of role OPTION and scope BATCH, `default` where they say nothing."""
        return _option(_BATCH_OPTIONS, dict(self.options), name, default)

    @classmethod
    def from_picture(cls, picture: PictureRow) -> "Bucket":
        """Return the bucket of a row of `schemas.ANALYSED`; its pixels may be left out."""
        return cls(
            width=int(picture["width"]),
            height=int(picture["height"]),
            num_inference_steps=int(picture["num_inference_steps"]),
            scheduler=str(picture["scheduler"]),
            guidance_scale=float(picture["guidance_scale"]),
            n_references=len(picture["id_embedding"] or ()) // EMBEDDING_WIDTH,
            strength=_share(picture.get("strength")),
            controls=tuple(_control(name, picture) for name in NETS if picture.get(SCALE_OF[name]) is not None),
            face_pass=picture.get("face_pass") == "auto",
            options=tuple(_given(_BATCH_OPTIONS, picture).items()),
        )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SampleRow:
    """One picture to sample. Everything here may differ from row to row inside a batch."""

    key: str
    prompt: str
    negative_prompt: str | None
    """None = no text, which on SDXL bases is not the same as ""."""
    seed: int
    id_embedding: NDArray[np.float32]
    """[n, 512], raw as the face pack gives it; n = 0 for recipes that look for no face."""
    ip_adapter_scale: float = 1.0
    """Of the recipe's first adapter, where `ip_adapter_scales` does not name it."""
    ip_adapter_scales: Mapping[str, float] = field(default_factory=dict)
    """By adapter name; 1 for others that are absent."""
    options: Mapping[str, Option] = field(default_factory=dict)
    """Columns of role OPTION and scope ROW that the row sets: those of adapters, and all that needs no field here."""
    crops: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)
    """Name of a variants.PictureNeed -> [n, S, S, 3]."""
    init_image: NDArray[np.uint8] | None = None
    """[H, W, 3] at the output's size; None = start from noise."""
    control_images: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)
    """Control's name -> [H, W, 3] at the output's size; of inpaint there is none, it is made of init_image and mask."""
    mask: NDArray[np.uint8] | None = None
    """[H, W] beside init_image: 255 = repaint, 0 = keep."""
    paste_back: bool = False
    """What is kept is put back from init_image, bit by bit."""
    identity_scale: float = 1.0
    """Of IdentityNet: controlnet_conditioning_scale."""
    told_sizes: Mapping[str, int] = field(default_factory=dict)
    """Columns of TOLD_SIZES that the row sets, pixels."""

    @classmethod
    def from_picture(cls, picture: PictureRow) -> "SampleRow":
        """Return the row of a picture of `schemas.ANALYSED` (as a dict of Python values), with its pixels."""
        images = dict(picture.get("images") or ())
        cells: Mapping[str, Cell] = picture
        return cls(
            key=str(picture["key"]),
            prompt=picture["prompt"] or "",
            negative_prompt=picture["negative_prompt"],
            seed=int(picture["seed"]),
            id_embedding=np.asarray(picture["id_embedding"] or (), np.float32).reshape(-1, EMBEDDING_WIDTH),
            ip_adapter_scale=_or(picture.get("ip_adapter_scale"), 1.0),
            ip_adapter_scales=dict(picture.get("ip_adapter_scales") or {}),
            options=_given(_ROW_OPTIONS, picture),
            crops={name: _crops(parts) for name, parts in dict(picture.get("crops") or ()).items()},
            init_image=_image(images[INIT_IMAGE]) if INIT_IMAGE in images else None,
            control_images={name: _image(images[key]) for name, key in _IMAGE_OF.items() if key in images},
            mask=_image(images[MASK_IMAGE])[..., 0] if MASK_IMAGE in images else None,
            paste_back=bool(picture.get("paste_back")),
            identity_scale=_or(cells.get(SCALE_OF["identity"]), 1.0),
            told_sizes=_given(TOLD_SIZES, picture),
        )

    def option(self, name: str, default: Kind) -> Kind:
        """Return what the row says in a column of role OPTION and scope ROW, `default` where it says nothing."""
        return _option(_ROW_OPTIONS, self.options, name, default)

    def scale(self, adapter: str, position: int) -> float:
        """Return the strength of the recipe's adapter number `position`."""
        return self.ip_adapter_scales.get(adapter, self.ip_adapter_scale if position == 0 else 1.0)


_ROW_OPTIONS = tuple(name for name in names_of(Role.OPTION) if BY_NAME[name].scope is Scope.ROW)
_BATCH_OPTIONS = tuple(name for name in names_of(Role.OPTION) if BY_NAME[name].scope is Scope.BATCH)
_IMAGE_OF = {"identity": FACE_DRAWING, **MAP_OF}
"""Control -> what its image is called among those that the faces stage makes."""


def _given(names: Sequence[str], picture: Mapping[str, Cell]) -> dict[str, Cell]:
    return {name: picture[name] for name in names if picture.get(name) is not None}


def _option(known: Sequence[str], given: Mapping[str, Option], name: str, default: Kind) -> Kind:
    """Raises ValueError for a name that is no such column: a slip of the pen would silently give the default."""
    if name not in known:
        raise ValueError(f"{name} is not one of the options {', '.join(known)}")
    return cast(Kind, given.get(name, default))


def _control(name: str, picture: Mapping[str, Cell]) -> ControlUse:
    start, end = (_share(picture.get(f"control_guidance_{edge}")) for edge in ("start", "end"))
    scale = 1.0 if name == "identity" else _or(picture.get(SCALE_OF[name]), 1.0)
    return ControlUse(name=name, scale=scale, start=start, end=end)


def _crops(parts: Sequence[bytes]) -> NDArray[np.uint8]:
    """n times raw bytes of a square -> [n, S, S, 3]."""
    side = isqrt(len(parts[0]) // 3)
    return np.frombuffer(b"".join(parts), np.uint8).reshape(len(parts), side, side, 3)


def _image(png: bytes) -> NDArray[np.uint8]:
    """PNG of the faces stage -> [H, W, 3]."""
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def _share(value: float | None) -> float | None:
    """A share of the steps as it was written: 0.7 has become 0.69999999 in float32, which is a step less of 10."""
    return None if value is None else float(f"{value:.6g}")


def _or(value: float | None, default: float) -> float:
    """A scale of 0 is a value; only null means that there is none."""
    return default if value is None else float(value)
