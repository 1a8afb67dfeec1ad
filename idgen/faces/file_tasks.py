"""Splits a row's request into tasks on single files, and joins their results: rows share files they have in common."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from idgen.columns import BY_NAME, INIT_IMAGE, LOOK_IMAGE, MAP_OF, MASK_IMAGE, POSE_IMAGE, REFERENCE_MASK
from idgen.errors import Code, RowError
from idgen.faces.face_placement import place_face
from idgen.faces.identity import Identity, InputImage, MaskMode, Request
from idgen.faces.same_person import differing
from idgen.recipes.recipe import FacePack
from idgen.recipes.variants import FROM_FACES, PictureNeed
from idgen.sources.images import Ground
from idgen.sources.input_images import same_shape

if TYPE_CHECKING:
    from idgen.faces.analysis import Face

_OF_FACE_PHOTOS = "small_photo"  # a warning that says nothing about maps and picture prompts
_OF_CUT_OUTS = "transparency"  # and one that says nothing where the transparency is the mask


@dataclass(frozen=True, slots=True)
class FileTask:
    """One file, what it must hash to, and what is wanted of it. Equal ones are done once."""

    file: str  # its URI without the signature
    sha256: str = ""
    face_pack: FacePack | None = None  # None = no face is looked for
    face_select: str = ""
    embedding: bool = False
    pictures: tuple[PictureNeed, ...] = ()
    mask: str = ""  # a second file
    size: tuple[int, int] | None = None  # of an input image: the width and height it is brought to
    ground: Ground = "white"  # what shows where it is transparent
    mask_mode: MaskMode = ""  # of an input image that is a mask
    map: str = ""  # of an input image that is a control map: pose, depth, canny, softedge
    cut_out: bool = False  # of an input image whose transparency is the mask: its own colours at the edges

    @property
    def poses(self) -> bool:
        """Whether the face only says where the picture's own is wanted: somebody who lies there is to lie."""
        return self.face_pack is not None and not self.embedding and not self.pictures

    @property
    def files(self) -> tuple[str, ...]:
        """The names of the files it takes, its own first."""
        return (self.file, self.mask) if self.mask else (self.file,)

    @property
    def digest(self) -> str:
        """32 hex digits by which the monitor knows it."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class FileResult:
    """What one task gives."""

    digest: str  # sha256 of the file
    size: tuple[int, int]  # of the upright picture, width and height
    warnings: tuple[str, ...]
    face: "Face | None" = None
    crops: Mapping[str, bytes] | None = None
    png: bytes = b""

    @property
    def nbytes(self) -> int:
        """Memory it takes, roughly."""
        return 4096 + len(self.png) + sum(map(len, (self.crops or {}).values()))


@dataclass(frozen=True, slots=True)
class RowFile:
    """A task and what it is to the row: one of its references ("") or a column's picture."""

    column: str
    task: FileTask
    uris: tuple[str, ...]  # where task.files lie


def row_files(request: Request, name: Callable[[str], str]) -> list[RowFile]:
    """Return what has to be looked at for `request`, references first; `name` strips signatures off URIs.

    Raises RowError when the request lacks what its recipe looks at, ValueError for hashes that are not one a photo.
    """
    sha256s = request.sha256s or ("",) * len(request.uris)
    if len(sha256s) != len(request.uris):
        raise ValueError("a request has no hashes or one for each reference")
    _check(request)
    given = request.ip_adapter_image_uri
    prompt = tuple(need for need in request.needs.pictures if given and need.kind not in FROM_FACES)
    own = tuple(need for need in request.needs.pictures if need not in prompt)
    finds = request.needs.embedding or any(need.kind != "picture" for need in own)
    mask = request.reference_mask_uri if any(need.kind == "face" for need in own) else ""
    found = []
    for uri, sha256 in zip(request.uris, sha256s, strict=True):
        task = FileTask(
            name(uri),
            sha256.lower(),
            face_pack=request.face_pack if finds else None,
            face_select=request.face_select if finds else "",
            embedding=request.needs.embedding,
            pictures=own,
            mask=name(mask) if mask else "",
        )
        found.append(RowFile("", task, (uri, mask) if mask else (uri,)))
    if prompt:
        found.append(RowFile(LOOK_IMAGE, FileTask(name(given), pictures=prompt), (given,)))
    if request.face_target and request.face_pose_uri:
        pose = FileTask(name(request.face_pose_uri), face_pack=request.face_pack, face_select=request.face_select)
        found.append(RowFile(POSE_IMAGE, pose, (request.face_pose_uri,)))
    cut_out = any(image.mask_mode == "alpha" for image in request.images)
    return found + [
        _input(image, name(image.uri), cut_out=cut_out and image.column == INIT_IMAGE) for image in request.images
    ]


def _input(image: InputImage, file: str, *, cut_out: bool) -> RowFile:
    kind = BY_NAME[image.column].control if image.column in MAP_OF.values() else ""
    ground: Ground = "black" if kind or image.mask_mode not in ("", "alpha") else "white"
    size = (image.width, image.height)
    task = FileTask(file, size=size, ground=ground, mask_mode=image.mask_mode, map=kind, cut_out=cut_out)
    return RowFile(image.column, task, (image.uri,))


def _check(request: Request) -> None:
    """The plan refuses such rows; what it let pass costs the row, not the shard."""
    if not request.uris and request.needs.analysis:
        raise RowError(Code.MISSING_VALUE, "reference_uri: this recipe needs a photo of a face")
    if not request.uris and request.needs.pictures and not request.ip_adapter_image_uri:
        raise RowError(Code.MISSING_VALUE, f"reference_uri or {LOOK_IMAGE}: this recipe needs a picture")
    if request.reference_mask_uri and len(request.uris) != 1:
        raise RowError(Code.BAD_VALUE, f"{REFERENCE_MASK}: only with one reference")


def join(
    request: Request, asked: Sequence[RowFile], results: Sequence[FileResult | RowError | None]
) -> Identity | RowError | None:
    """Return what the files of one request gave as one identity, references in their order, with the face drawn.

    The first error stands for all, with its place in front; None when one was not looked at at all.
    """
    references = [part for part in asked if not part.column]
    names = [part.column or _place(number, len(references)) for number, part in enumerate(asked, start=1)]
    seen: list[FileResult] = []
    for name, result in zip(names, results, strict=True):
        if isinstance(result, RowError):
            return RowError(result.code, f"{name}: {result.detail}") if name else result
        if result is None:
            return None
        seen.append(result)
    crops: dict[str, list[bytes]] = {}
    for each in seen:
        for need, pixels in (each.crops or {}).items():
            crops.setdefault(need, []).append(pixels)
    by_column = {part.column: each for part, each in zip(asked, seen, strict=True) if part.column}
    try:
        _check_shapes(by_column)
        posed = by_column.get(POSE_IMAGE)
        aimed = place_face(request, [each.face for each in ([posed] if posed else seen) if each.face is not None])
        strangers = differing(request, [each.face for each in seen[: len(references)] if each.face is not None])
    except RowError as error:
        return error
    cut_out = any(part.task.mask_mode == "alpha" for part in asked)
    found = _identity(
        seen[: len(references)],
        warnings=strangers
        + [
            f"{name.partition(' of ')[0]}: {warning}" if name else warning
            for name, part, each in zip(names, asked, seen, strict=True)
            for warning in each.warnings
            if not (part.column and warning.startswith(_OF_FACE_PHOTOS))
            and not (part.column == INIT_IMAGE and cut_out and warning.startswith(_OF_CUT_OUTS))
        ],
        crops=crops,
        images={part.column: each.png for part, each in zip(asked, seen, strict=True) if part.task.size},
    )
    return aimed.joined(found) if aimed else found


def _check_shapes(by_column: Mapping[str, FileResult]) -> None:
    """A mask of another shape would be cut otherwise than its picture, and would not lie over it."""
    picture, mask = by_column.get(INIT_IMAGE), by_column.get(MASK_IMAGE)
    if picture is None or mask is None or same_shape(picture.size, mask.size):
        return
    (width, height), (mask_width, mask_height) = picture.size, mask.size
    raise RowError(
        Code.BAD_VALUE,
        f"{MASK_IMAGE}: {mask_width}x{mask_height} px, but {INIT_IMAGE} has {width}x{height}; the mask must have the "
        "photo's shape",
    )


def _place(number: int, references: int) -> str:
    return f"reference {number} of {references}" if references > 1 else ""


def _identity(
    references: Sequence[FileResult], *, warnings: list[str], crops: dict[str, list[bytes]], images: dict[str, bytes]
) -> Identity:
    faces = [seen.face for seen in references if seen.face is not None]
    embeddings = [face.embedding for face in faces if face.embedding is not None]
    judged = [face.judge_embedding for face in faces if face.judge_embedding is not None]
    return Identity(
        id_embedding=np.concatenate(embeddings) if embeddings else None,
        judge_embedding=np.concatenate(judged) if judged and len(judged) == len(references) else None,
        reference_box=_floats(face.box for face in faces) if faces else None,
        reference_keypoints=_floats(face.keypoints for face in faces) if faces else None,
        reference_score=[face.score for face in faces] if faces else None,
        reference_faces=[face.faces_found for face in faces] if faces else None,
        reference_size=list(chain.from_iterable(seen.size for seen in references)) if references else None,
        reference_digest=[seen.digest for seen in references] if references else None,
        warnings=warnings,
        crops=crops,
        target_keypoints=None,
        images=images,
    )


def _floats(arrays: Iterable[npt.NDArray[np.float32]]) -> list[float]:
    return [float(value) for array in arrays for value in array.ravel()]
