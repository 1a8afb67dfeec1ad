"""Finishes a sampled batch before it is published: the face pass, then what the mask keeps is put back.

In this order, as the published picture is to hold the photo's pixels whatever was sampled over them.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from idgen.checks.picture import FinishedPicture, PictureFacts, Pixels
from idgen.errors import RowError
from idgen.sampling.pasting import paste_back
from idgen.sampling.rows import Bucket, SampleRow


class Repair(Protocol):
    """What is asked of face_pass.FaceRepair, which brings the libraries that find faces."""

    def run(
        self,
        pictures: Sequence[Pixels | RowError],
        rows: Sequence[SampleRow],
        bucket: Bucket,
        wanted: Sequence[Sequence[float] | None],
    ) -> list[FinishedPicture]:
        """Return each picture of a sampled batch, with its face sampled again where that is small."""
        ...


def finish(
    pictures: Sequence[Pixels | RowError],
    rows: Sequence[SampleRow],
    bucket: Bucket,
    wanted: Sequence[Sequence[float] | None],
    repair: Repair | None,
    notes: Sequence[Sequence[str]],
) -> list[FinishedPicture]:
    """Return what is published of each picture of a batch; `repair` is there when `bucket` asks for the face pass.

    `wanted` as for face_pass.FaceRepair.run; `notes` are the sampler's warnings, row by row. Raises OutOfMemory when
    the face pass does not fit.
    """
    if bucket.face_pass and repair is None:
        raise ValueError("a batch asks for a face pass, but there is nothing to make it with")
    both = zip(pictures, rows, strict=True)
    made = (
        repair.run(pictures, rows, bucket, wanted)
        if bucket.face_pass and repair is not None
        else [FinishedPicture(picture, PictureFacts(id_embeddings=row.id_embedding)) for picture, row in both]
    )
    return [_kept(one, row, told) for one, row, told in zip(made, rows, notes, strict=True)]


def _kept(finished: FinishedPicture, row: SampleRow, notes: Sequence[str]) -> FinishedPicture:
    facts = replace(finished.facts, notes=tuple(notes))
    pixels = finished.pixels
    if not isinstance(pixels, RowError) and row.paste_back and row.init_image is not None and row.mask is not None:
        pixels = paste_back(pixels, row.init_image, row.mask)
        facts = replace(facts, seen=None)  # other pixels than the face pass has looked at
    return FinishedPicture(pixels, facts)
