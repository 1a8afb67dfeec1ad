"""Rows as they flow: an ANALYSED picture as a dict, and pixels for it."""

import hashlib
from dataclasses import dataclass

import numpy as np

from idgen.checks.looking import findings
from idgen.checks.picture import FinishedPicture
from idgen.checks.table import CHECKS
from idgen.config import SourcesConfig
from idgen.errors import RowError
from idgen.schemas import ANALYSED

SIGNATURES = SourcesConfig().signature_parameters


def picture(number: int, **changes) -> dict:
    """A picture with everything a small recipe resolves; every column of ANALYSED is there."""
    key = hashlib.sha256(b"%d" % number).hexdigest()[:32]
    row = dict.fromkeys(ANALYSED.names) | {
        "key": key,
        "position": number,
        "image_index": 0,
        "attempt": 1,
        "replaces": "",
        "recipe_hash": "r" * 16,
        "load_group": "g",
        "bucket": "b",
        "carried": "{}",
        "status": "",
        "code": "",
        "detail": "",
        "stage": "",
        "row_id": f"row-{number}",
        "recipe": "tiny",
        "reference_uri": f"s3://photos/{number}.jpg",
        "face_select": "largest",
        "prompt": f"a person, picture {number}",
        "negative_prompt": "blurry",
        "num_images": 1,
        "seed": number,
        "width": 32,
        "height": 48,
        "num_inference_steps": 4,
        "scheduler": "ddim",
        "guidance_scale": 7.5,
        "ip_adapter_scale": 0.800000011920929,
        "lora_scale": 1.0,
        "id_embedding": [0.5] * 512,
        "reference_box": [1.0, 2.0, 30.0, 40.0],
        "reference_score": [0.9],
        "reference_faces": [1],
        "reference_digest": ["d" * 64],
        "warnings": [],
    }
    return row | changes


@dataclass(frozen=True)
class Told:
    """A finished picture, and what the ledger says of it."""

    picture: np.ndarray | RowError
    result: str | None
    similarity_before: float | None
    similarity: float | None
    warnings: tuple[str, ...]


def told(finished: FinishedPicture) -> Told:
    """What all checks say of a finished picture."""
    found = findings(finished, CHECKS)
    names = ("face_pass_result", "face_similarity_before", "face_similarity")
    result, before, after = (found.values.get(name) for name in names)
    return Told(finished.pixels, result, before, after, found.warnings)


def finished(number: int) -> FinishedPicture:
    """A finished picture with `pixels(number)`."""
    return FinishedPicture(pixels(number))


def pixels(number: int, width: int = 32, height: int = 48) -> np.ndarray:
    """Random uint8 [H, W, 3], the same for the same number."""
    return np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)
