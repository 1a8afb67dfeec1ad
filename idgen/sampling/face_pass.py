"""The face pass: small faces of finished pictures are cut out, sampled again larger, and blended back.

EcomID's authors publish a workflow for the face alone (ComfyUI's FaceDetailer): in a picture of a whole person the face
has so few latents that the identity is lost. Per picture:

    look    the face nearest to where IdentityNet was told to make it, else the largest; none or a large one: it is done
    cut     a square of `crop_scale` longer sides of its box, moved into the picture, brought to `side_px`
    sample  image to image with the same person and prompts, the found points drawn for IdentityNet, other controls off
    blend   all of the box, fading out around it, so that garment and background stay bit by bit (face_square.py)
    look    again, for the similarity and the other checks

All of a batch's faces go through one call of the sampler. FaceDetailer holds what is around the box still while it
samples, and pastes with a feather of 5 px; here the whole square is sampled, so that hair and neck go with the new
face, and the seam is wider: a quarter of the face.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from idgen.adapters.protocol import Adapter
from idgen.checks.picture import FacePassFacts, FinishedPicture, PictureFacts, Pixels, Place, SeenFaces
from idgen.errors import RowError
from idgen.faces import keypoints
from idgen.faces.analysis import FaceAnalyser
from idgen.recipes.recipe import FacePass
from idgen.sampling.face_square import Square, around, longer_side, soft_mask
from idgen.sampling.rows import Bucket, ControlUse, SampleRow

IDENTITY = "identity"
Points = NDArray[np.float32]
"""[5, 2] of a face, pixels of the picture."""
Box = NDArray[np.float32]
"""[4], xyxy."""


class Samples(Protocol):
    """What the pass needs of sampling.sampler.Sampler."""

    adapters: list[Adapter]

    def sample(self, rows: Sequence[SampleRow], bucket: Bucket) -> list[Pixels | RowError]:
        """Return each row's picture, uint8 [H, W, 3], or why there is none."""
        ...


@dataclass(frozen=True, slots=True)
class _Due:
    """One face to sample again."""

    at: int
    picture: Pixels
    row: SampleRow
    seen: SeenFaces
    points: Points
    box: Box
    square: Square

    @property
    def middle(self) -> Place:
        """Of the face's box."""
        left, top, right, bottom = self.box.tolist()
        return (left + right) / 2, (top + bottom) / 2

    def is_face_of(self, seen: SeenFaces) -> bool:
        """True when the middle of the chosen face of `seen` is in this one's box; else it is somebody else's."""
        if seen.box is None:
            return False
        middle = (seen.box[:2] + seen.box[2:]) / 2
        return bool((self.box[:2] <= middle).all() and (middle <= self.box[2:]).all())


@dataclass(frozen=True, slots=True)
class FaceRepair:
    """The pass of one loaded recipe; for one thread at a time."""

    sampler: Samples
    finder: FaceAnalyser
    settings: FacePass = field(default_factory=FacePass)

    def run(
        self,
        pictures: Sequence[Pixels | RowError],
        rows: Sequence[SampleRow],
        bucket: Bucket,
        wanted: Sequence[Sequence[float] | None],
    ) -> list[FinishedPicture]:
        """Return each picture of a sampled batch, with its face sampled again where that is small.

        `wanted` are target_keypoints ([10], pixels), None where nobody said where the face is to be. A face that does
        not decode leaves its picture as it was, with a warning: asking again would give the same. Raises OutOfMemory as
        the sampler does; nothing of the batch is kept then.
        """
        finished: list[FinishedPicture] = []
        due: list[_Due] = []
        for at, (picture, row, points) in enumerate(zip(pictures, rows, wanted, strict=True)):
            near = _middle(points) if row.identity_scale else None  # at 0 IdentityNet was told nothing
            if isinstance(picture, RowError):
                finished.append(FinishedPicture(picture))
                continue
            seen = self._find(picture, near)
            box, points_found = seen.box, seen.points
            if box is None or points_found is None:
                finished.append(_finished(picture, row, FacePassFacts(result="no_face"), seen))
                continue
            own = seen.embedding
            facts = FacePassFacts(result="large_enough", embedding_before=own, embedding_after=own)
            finished.append(_finished(picture, row, facts, seen))
            if longer_side(box) < self.settings.below_px:
                square = around(box, _size(picture), self.settings.crop_scale)
                due.append(_Due(at, picture, row, seen, points_found, box, square))
        for one, made in zip(due, self._again(due, bucket), strict=True):
            finished[one.at] = self._done(one, made)
        return finished

    def _find(self, picture: Pixels, near: Place | None) -> SeenFaces:
        return self.finder.see(picture, near, embedding=True)

    def _again(self, due: Sequence[_Due], bucket: Bucket) -> list[Pixels | RowError]:
        if not due:
            return []
        settings = self.settings
        drawn = any(control.name == IDENTITY for control in bucket.controls)
        square = Bucket(
            width=settings.side_px,
            height=settings.side_px,
            num_inference_steps=settings.num_inference_steps,
            scheduler=settings.scheduler,
            guidance_scale=settings.guidance_scale,
            n_references=bucket.n_references,
            strength=settings.strength,
            controls=(ControlUse(name=IDENTITY, scale=1.0),) if drawn else (),
        )
        return self.sampler.sample([self._row(one, drawn) for one in due], square)

    def _row(self, due: _Due, drawn: bool) -> SampleRow:
        """What the face alone is sampled with: all that is the row's own but its pictures, scales and seed."""
        settings, side = self.settings, self.settings.side_px
        first = self.sampler.adapters[0].name if self.sampler.adapters else ""
        points = due.square.points(due.points, side)
        return replace(
            due.row,
            seed=second_seed(due.row.seed),
            ip_adapter_scale=settings.ip_adapter_scale,
            ip_adapter_scales={name: scale for name, scale in due.row.ip_adapter_scales.items() if name != first},
            identity_scale=settings.controlnet_conditioning_scale,
            init_image=due.square.cut(due.picture, side),
            mask=None,
            paste_back=False,
            told_sizes={},  # they are the whole picture's
            control_images={IDENTITY: keypoints.draw(points, (side, side))} if drawn else {},
        )

    def _done(self, due: _Due, made: Pixels | RowError) -> FinishedPicture:
        notes = tuple(f"face_pass: {note}" for note in due.seen.notes)
        before = due.seen.embedding
        if isinstance(made, RowError):
            note = f"face_pass_failed: {made.code}, the picture is as it was before"
            failed = FacePassFacts(
                result="failed", embedding_before=before, embedding_after=before, notes=(*notes, note)
            )
            return _finished(due.picture, due.row, failed, due.seen)
        mask = soft_mask(due.box, due.square, _size(due.picture))
        blended = due.square.blended(due.picture, made, mask)
        after = self._find(blended, due.middle)
        if not due.is_face_of(after):
            after = SeenFaces(boxes=after.boxes)
            notes = (*notes, "face_lost: no face is found there after the face pass")
        done = FacePassFacts(result="done", embedding_before=before, embedding_after=after.embedding, notes=notes)
        return _finished(blended, due.row, done, after)


def _finished(picture: Pixels, row: SampleRow, facts: FacePassFacts, seen: SeenFaces) -> FinishedPicture:
    return FinishedPicture(picture, PictureFacts(id_embeddings=row.id_embedding, face_pass=facts, seen=seen))


def _size(picture: Pixels) -> tuple[int, int]:
    return picture.shape[1], picture.shape[0]


def second_seed(seed: int) -> int:
    """Return the face pass's seed, 0..2^63-1, from the row's: with the same one, the noise that has already become the
    picture would be added to it once more.
    """
    return int.from_bytes(blake2b(f"face_pass {seed}".encode(), digest_size=8).digest(), "big") >> 1


def _middle(points: Sequence[float] | None) -> Place | None:
    if points is None:
        return None
    x, y = np.asarray(points, np.float64).reshape(5, 2).mean(axis=0).tolist()
    return x, y
