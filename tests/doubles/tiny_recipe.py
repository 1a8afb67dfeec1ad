"""The recipe that tests sample with: the tiny SD1.5 and FaceID, float32, and rows for it."""

from dataclasses import replace

import numpy as np

from idgen.recipes import AdapterSpec, Base, FacePack, Recipe
from idgen.sampling.rows import Bucket, SampleRow

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
