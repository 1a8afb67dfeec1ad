"""Recipes that tests sample with, of every variant on the tiny weights in float32, and rows for them."""

from dataclasses import replace

import numpy as np

from idgen.adapters.variants import CLIP_PX, VARIANTS, needs
from idgen.recipes import AdapterSpec, Base, Control, FacePack, Lora, Recipe
from idgen.sampling.rows import Bucket, SampleRow
from idgen.tiny.files import ADAPTERS

TINY = Recipe(
    name="tiny",
    base=Base(weights="tiny:sd15", dtype="float32"),
    adapters=[AdapterSpec(name="faceid", weights="tiny:faceid_sd15")],
    face_pack=FacePack(weights="tiny:facepack"),
)
BUCKET = Bucket(width=64, height=64, num_inference_steps=4, scheduler="ddim", guidance_scale=5.0)


def person(number: int, references: int = 1) -> np.ndarray:
    """[references, 512], raw like a face pack's: about 22 long."""
    return np.random.default_rng(number).standard_normal((references, 512)).astype(np.float32)


def row(**changes) -> SampleRow:
    """One row; name what differs."""
    plain = SampleRow(key="k", prompt="a woman in a garden", negative_prompt="lowres", seed=1, id_embedding=person(1))
    return replace(plain, **changes)


def adapter(name: str, family: str = "sd15") -> AdapterSpec:
    """Of a file's name (`ip_adapter_sd15_vit_g`), or the first of a kind (`ip_adapter`) in a family."""
    files = [ADAPTERS[name]] if name in ADAPTERS else []
    file = [*files, *(one for one in ADAPTERS.values() if (one.kind, one.family) == (name, family))][0]
    encoder = f"tiny:{file.encoder}" if file.encoder else ""
    return AdapterSpec(name=file.kind, kind=file.kind, weights=f"tiny:{file.name}", image_encoder=encoder)


def recipe(name: str, family: str = "sd15", **changes) -> Recipe:
    """One adapter (see `adapter`) on the tiny base of its family; `changes` are fields of Recipe."""
    family = ADAPTERS[name].family if name in ADAPTERS else family
    first = adapter(name, family)
    plain = Recipe(
        name=f"tiny-{name}-{family}",
        base=Base(kind=family, weights=f"tiny:{family}", dtype="float32"),
        adapters=[first],
        face_pack=FacePack(weights="tiny:facepack"),
        columns=["shortcut_scale"] if VARIANTS[first.kind].shortcut else [],
    )
    return replace(plain, **changes)


def control(family: str = "sd15", name: str = "pose") -> Control:
    """A ControlNet that shows."""
    return Control(name=name, weights=f"tiny:control_{family}")


def lora(family: str = "sd15") -> Lora:
    """A LoRA of the base in LCM-LoRA's layout."""
    return Lora(name="lcm", weights=f"tiny:lcm_lora_{family}")


def picture(number: int, references: int = 1, size_px: int = CLIP_PX) -> np.ndarray:
    """[references, size_px, size_px, 3] uint8: coarse coloured squares, as noise pixel by pixel all looks the same."""
    coarse = np.random.default_rng(number).integers(0, 256, (references, 4, 4, 3), np.uint8)
    side = -(-size_px // 4)
    return coarse.repeat(side, 1).repeat(side, 2)[:, :size_px, :size_px]


def row_for(made: Recipe, number: int = 1, references: int = 1, **changes) -> SampleRow:
    """A row of person `number` with what the adapters of `made` need; each kind of crop shows something else."""
    asked = needs(made)
    embedding = person(number, references) if asked.embedding else np.zeros((0, 512), np.float32)
    crops = {
        need.name: picture(1000 * position + number, references, need.size_px)
        for position, need in enumerate(asked.pictures)
    }
    return row(**{"key": f"k{number}", "id_embedding": embedding, "crops": crops, **changes})
