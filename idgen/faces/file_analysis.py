"""Analyses one file of a row: file to pixels, pixels to a face, its crops or an input image."""

import hashlib
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from idgen.columns import INIT_IMAGE, REFERENCE_MASK
from idgen.config import SourcesConfig
from idgen.errors import Code, RowError
from idgen.faces.analysis import Face
from idgen.faces.crops import cut
from idgen.faces.file_tasks import FileResult, FileTask
from idgen.faces.orientation import turn
from idgen.sources.control_maps import lines_on_nothing, map_notes
from idgen.sources.images import Ground, Photo, decode
from idgen.sources.input_images import cover, cover_cut_out, cover_mask, cover_notes, png
from idgen.sources.prefetch import File

_KEPT = 127  # the darker half of a mask: it is left in what the control inpaint is shown

Analyse = Callable[[npt.NDArray[np.uint8], FileTask], Face]


class OpenedFiles:
    """The files of one or more tasks, each decoded when it is first asked for."""

    def __init__(self, files: Sequence[File], sources: SourcesConfig) -> None:
        self._files = files
        self._sources = sources
        self._photos: dict[Ground, Photo] = {}
        self._mask: Photo | None = None
        self._digest = ""

    def verified(self, sha256: str) -> str:
        """Return the first file's sha256; raises RowError sha256_mismatch when it is another one than `sha256`."""
        self._digest = self._digest or hashlib.sha256(_bytes(self._files[0])).hexdigest()
        if sha256 and self._digest != sha256:
            raise RowError(Code.SHA256_MISMATCH, f"the file's sha256 begins with {self._digest[:12]}")
        return self._digest

    def photo(self, ground: Ground) -> Photo:
        """Return the first file's picture, what is transparent on `ground`; raises RowError as `decode`."""
        if ground not in self._photos:
            self._photos[ground] = decode(_bytes(self._files[0]), self._sources, ground)
        return self._photos[ground]

    def mask(self) -> Photo:
        """Return the second file's picture, what is transparent in black.

        Raises RowError as `Fetcher.fetch` and `decode`, with the column's name.
        """
        try:
            self._mask = self._mask or decode(_bytes(self._files[1]), self._sources, "black")
        except RowError as error:
            raise RowError(error.code, f"{REFERENCE_MASK}: {error.detail}") from None
        return self._mask


def look(task: FileTask, opened: OpenedFiles, analyse: Analyse) -> FileResult:
    """Return what `task` wants of the files in `opened`; `analyse` is called only when it looks for a face.

    Raises RowError: the file's own, those of `decode`, of the analysis and of `cut`.
    """
    digest = opened.verified(task.sha256)
    photo = opened.photo(task.ground)
    size = (photo.rgb.shape[1], photo.rgb.shape[0])
    if task.size and task.mask_mode:
        return _init_mask(photo, task, digest)
    if task.size and task.map:
        return _control_map(photo, task.map, task.size, digest)
    if task.size:
        notes = (*photo.warnings, *cover_notes(size, *task.size))
        if task.cut_out and photo.alpha is not None:
            return FileResult(digest, size, notes, png=png(cover_cut_out(photo.rgb, photo.alpha, *task.size)))
        return FileResult(digest, size, notes, png=png(cover(photo.rgb, *task.size)))
    mask = opened.mask() if task.mask else None  # a broken one is cheaper to find than a face
    face = analyse(photo.rgb, task) if task.face_pack else None
    turns = face.turns if face else 0  # of a photo that lay on its side: all that follows is of the upright one
    rgb, over = turn(photo.rgb, turns), turn(mask.rgb, turns) if mask else None
    size = (rgb.shape[1], rgb.shape[0])
    crops = {need.name: cut(need, rgb, face, over).tobytes() for need in task.pictures}
    warnings = [*photo.warnings, *(face.warnings if face else ())]
    warnings += [f"{REFERENCE_MASK}: {note}" for note in (mask.warnings if mask else ()) if "small_photo" not in note]
    return FileResult(digest, size, tuple(warnings), face, crops)


def _init_mask(photo: Photo, task: FileTask, digest: str) -> FileResult:
    """Return the mask of an image to start from at the picture's size, [H, W]: 255 = repaint, 0 = keep."""
    if task.mask_mode == "alpha":
        if photo.alpha is None:
            raise RowError(Code.MISSING_VALUE, f"the row has none, and {INIT_IMAGE} has no transparent part to repaint")
        white_kept, grey = True, photo.alpha
    else:
        white_kept, grey = task.mask_mode == "keep_white", np.asarray(Image.fromarray(photo.rgb).convert("L"))
    mask = cover_mask(grey, *task.size) if task.size else grey
    mask = 255 - mask if white_kept else mask
    notes = [] if task.mask_mode == "alpha" else list(photo.warnings)
    if mask.max() <= _KEPT:
        notes.append("mask_keeps_all: no part of the picture would be repainted")
    elif mask.min() > _KEPT:
        notes.append("mask_keeps_nothing: the whole picture would be repainted")
    return FileResult(digest, (photo.rgb.shape[1], photo.rgb.shape[0]), tuple(notes), png=png(mask))


def _control_map(photo: Photo, kind: str, to: tuple[int, int], digest: str) -> FileResult:
    """Return a ready-made map at the picture's size `to`, as nets expect it."""
    size = (photo.rgb.shape[1], photo.rgb.shape[0])
    lines = lines_on_nothing(photo.rgb, photo.alpha, kind) if photo.alpha is not None else None
    notes = list(photo.warnings)
    if lines is not None:
        notes = [note for note in notes if not note.startswith("transparency")]
        notes.append("transparency: its dark lines are shown white on black")
    fitted = cover(photo.rgb if lines is None else lines, *to)
    return FileResult(digest, size, (*notes, *cover_notes(size, *to), *map_notes(fitted, kind)), png=png(fitted))


def _bytes(file: File) -> bytes:
    if isinstance(file, RowError):
        raise file
    return file
