"""What a row asks of the faces stage, and what it gets."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from idgen.errors import RowError


@dataclass(frozen=True, slots=True)
class Request:
    """What one row asks for."""

    uris: tuple[str, ...]  # photos of one person
    sha256s: tuple[str, ...] = ()  # of their bytes, as many as uris, or none; "" is not checked
    face_select: str = "largest"


@dataclass(frozen=True, slots=True)
class Identity:
    """What a row's n references give; the fields of schemas.IDENTITY."""

    id_embedding: npt.NDArray[np.float32]  # [n * 512], raw
    reference_box: list[float]  # n * 4
    reference_keypoints: list[float]  # n * 10
    reference_score: list[float]  # n
    reference_faces: list[int]  # n
    reference_size: list[int]  # n * 2
    reference_digest: list[str]  # n
    warnings: list[str]


def join(results: Sequence[Identity | RowError | None]) -> Identity | RowError | None:
    """Return several photos of one person as one identity, in their order.

    The first error stands for all, with its place in front; None when one was not read at all.
    """
    if len(results) == 1:
        return results[0]
    identities: list[Identity] = []
    for number, result in enumerate(results, start=1):
        if isinstance(result, RowError):
            return RowError(result.code, f"reference {number} of {len(results)}: {result.detail}")
        if result is None:
            return None
        identities.append(result)
    whole = Identity(np.concatenate([identity.id_embedding for identity in identities]), [], [], [], [], [], [], [])
    for number, identity in enumerate(identities, start=1):
        whole.reference_box.extend(identity.reference_box)
        whole.reference_keypoints.extend(identity.reference_keypoints)
        whole.reference_score.extend(identity.reference_score)
        whole.reference_faces.extend(identity.reference_faces)
        whole.reference_size.extend(identity.reference_size)
        whole.reference_digest.extend(identity.reference_digest)
        whole.warnings.extend(f"reference {number}: {warning}" for warning in identity.warnings)
    return whole
