"""What happens to a sampled batch before it is published: the face pass, then what the mask keeps is put back.

In this order, as the published picture is to hold the photo's pixels whatever was sampled over them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from idgen.errors import RowError
from idgen.sampling.pasting import paste_back
from idgen.sampling.rows import Bucket, SampleRow

Row = dict[str, Any]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """One picture of a batch, and what is known of its face."""

    picture: Pixels | RowError
    result: str | None = None
    """done | no_face | large_enough | failed; None where no pass was asked for or there is no picture."""
    similarity_before: float | None = None
    """Cosine of the sampled face to the mean of the references' normed embeddings; None where either is missing."""
    similarity: float | None = None
    """The same after the pass, before anything is pasted back; None also when no face is found any more."""
    warnings: tuple[str, ...] = ()


class Repair(Protocol):
    """What is asked of face_pass.FaceRepair, which brings the libraries that find faces."""

    def run(
        self,
        pictures: Sequence[Pixels | RowError],
        rows: Sequence[SampleRow],
        bucket: Bucket,
        wanted: Sequence[Sequence[float] | None],
    ) -> list[Finished]:
        """Return each picture of a sampled batch, its face made anew where that is small."""
        ...


def finish(
    pictures: Sequence[Pixels | RowError],
    rows: Sequence[SampleRow],
    bucket: Bucket,
    wanted: Sequence[Sequence[float] | None],
    repair: Repair | None,
) -> list[Finished]:
    """Return what is published of each picture of a batch; `repair` is there when `bucket` asks for the face pass.

    `wanted` as for face_pass.FaceRepair.run. Raises OutOfMemory when the face pass does not fit.
    """
    if bucket.face_pass and repair is None:
        raise ValueError("a batch with a face pass, and nothing to make it with")
    made = (
        repair.run(pictures, rows, bucket, wanted)
        if bucket.face_pass and repair is not None
        else [Finished(picture=picture) for picture in pictures]
    )
    return [_kept(one, row) for one, row in zip(made, rows, strict=True)]


def write_facts(row: Row, finished: Finished, warnings: Sequence[str]) -> None:
    """Write into a row of ANALYSED what LEDGER tells of its sampling; `warnings` are the sampler's."""
    row["face_pass_result"] = finished.result
    row["face_similarity_before"] = finished.similarity_before
    row["face_similarity"] = finished.similarity
    row["warnings"] = [*(row["warnings"] or []), *warnings, *finished.warnings]


def _kept(finished: Finished, row: SampleRow) -> Finished:
    if isinstance(finished.picture, RowError) or not row.paste_back or row.init_image is None or row.mask is None:
        return finished
    return replace(finished, picture=paste_back(finished.picture, row.init_image, row.mask))
