"""From the files of a shard's rows to identities: each distinct file is fetched and analysed once.

Fetching waits, so it is done by threads; decoding and analysing compute, so they are done here, one file at a time.
That also makes a crash in a decoder the crash of exactly one task: the one between `begin` and `end`.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from idgen.config import SourcesConfig
from idgen.errors import Code, RowError, RunError
from idgen.faces.file_analysis import OpenedFiles, look
from idgen.faces.file_tasks import FileResult, FileTask, RowFile, join, row_files
from idgen.faces.identity import Identity, InputImage, Request
from idgen.faces.orientation import turn
from idgen.lru_cache import LruCache
from idgen.recipes.recipe import FacePack
from idgen.sources.prefetch import Prefetch, Source
from idgen.sources.redact import redact_uri

if TYPE_CHECKING:
    from idgen.faces.analysis import Face, FaceAnalyser
    from idgen.faces.judge import Judge

__all__ = ["Identity", "InputImage", "ReferenceReader", "Request"]

logger = logging.getLogger(__name__)

REMEMBERED_BYTES = 192 * 2**20  # kept over shards: an embedding is 2 kB, a crop 150 kB, an input image up to 3 MB


_Result = FileResult | RowError


class ReferenceReader:
    """Reads references, picture prompts and input images for one actor.

    `analyses` and `fetches` count what was really done.
    """

    def __init__(
        self,
        fetcher: Source,
        analyser: Callable[[FacePack], "FaceAnalyser"],
        sources: SourcesConfig,
        judge: "Callable[[], Judge] | None" = None,
    ) -> None:
        """`analyser` is asked for a pack when a face has to be found, and only then; it keeps what it loads.

        So is `judge`; None = there is none.
        """
        self._judge = judge
        self._files = Prefetch(fetcher, sources.threads)
        self._analyser = analyser
        self._sources = sources
        self._remembered: LruCache[FileTask, _Result] = LruCache(_nbytes, REMEMBERED_BYTES)
        self.analyses = 0

    @property
    def fetches(self) -> int:
        """How many files were asked for."""
        return self._files.fetches

    def read(
        self,
        requests: Sequence[Request],
        should_stop: Callable[[], bool] = lambda: False,
        *,
        begin: Callable[[str], None] = lambda digest: None,
        end: Callable[[str], None] = lambda digest: None,
        skip: Mapping[str, RowError] | None = None,
    ) -> list[Identity | RowError | None]:
        """Return for each request its identity, or why there is none, or None when the stop came first.

        `should_stop` is asked twice a second at most, also while all fetches hang.
        `begin` and `end` are called around each decoding and analysis with the task's digest (`digests`): a digest
        that was begun and not ended is what the process died of. Those in `skip` end with the error given.
        A face pack for which `analyser` raises a RowError costs the rows that look for a face, and no other; its
        RunError is raised.
        """
        wanted = [self._parts(request) for request in requests]
        asked = [part for row in wanted if not isinstance(row, RowError) for part in row]
        done: dict[FileTask, _Result] = {}
        left: list[FileTask] = []
        for task in dict.fromkeys(part.task for part in asked):
            result = (skip or {}).get(task.digest) or self._remembered.get(task)
            if result is None:
                left.append(task)
            else:
                done[task] = result
        uris = {name: uri for part in asked for name, uri in zip(part.task.files, part.uris, strict=True)}
        for task, result in self._seen(left, uris, should_stop, begin, end):
            done[task] = result
            if self._lasts(task, result):
                self._remembered.put(task, result)
        return [
            row if isinstance(row, RowError) else join(request, row, [done.get(part.task) for part in row])
            for request, row in zip(requests, wanted, strict=True)
        ]

    def digests(self, request: Request) -> list[str]:
        """Return the names by which `begin`, `end` and `skip` know what the request looks at; none for a bad one."""
        row = self._parts(request)
        return [] if isinstance(row, RowError) else [part.task.digest for part in row]

    def _lasts(self, task: FileTask, result: _Result) -> bool:
        """Whether another moment would give the same; a judge that broke may have lacked memory."""
        if isinstance(result, RowError):
            return not result.retriable
        face = result.face
        return self._judge is None or face is None or task.poses or face.judge_embedding is not None

    def _parts(self, request: Request) -> list[RowFile] | RowError:
        try:
            return row_files(request, lambda uri: redact_uri(uri, self._sources.signature_parameters))
        except RowError as error:
            return error

    def _seen(
        self,
        tasks: Sequence[FileTask],
        uris: Mapping[str, str],
        should_stop: Callable[[], bool],
        begin: Callable[[str], None],
        end: Callable[[str], None],
    ) -> Iterator[tuple[FileTask, _Result]]:
        """Yield each task with its result, file by file, until `should_stop`."""
        useless = self._useless({task.face_pack for task in tasks if task.face_pack})
        by_files: dict[tuple[str, ...], list[FileTask]] = {}
        for task in tasks:
            if task.face_pack in useless:
                yield task, useless[task.face_pack]
            else:
                by_files.setdefault(task.files, []).append(task)
        for names, files in self._files.fetched(list(by_files), uris, should_stop):
            opened = OpenedFiles(files, self._sources)
            for task in by_files[names]:
                if isinstance(files[0], RowError):  # nothing to look at, nothing to begin
                    yield task, files[0]
                    continue
                begin(task.digest)
                try:
                    result: _Result = look(task, opened, self._analyse)
                except RowError as error:
                    result = error
                except RunError:  # a face pack that no photo can be looked at with is no photo's fault
                    raise
                except Exception as error:
                    logger.exception("a reference hit a bug")
                    result = RowError(Code.INTERNAL, f"faces: {type(error).__name__}")
                finally:
                    end(task.digest)
                yield task, result

    def _useless(self, packs: Iterable[FacePack]) -> dict[FacePack, RowError]:
        """Load `packs`, before any task: what a node lacks ends the run and not a row. Return those that are none."""
        found = {}
        asked = list(packs)
        if asked and self._judge:
            self._judge()
        for pack in asked:
            try:
                self._analyser(pack)
            except RowError as error:  # a new one: the frames of loading in its context keep memory
                found[pack] = RowError(error.code, error.detail)
        return found

    def _analyse(self, rgb: npt.NDArray[np.uint8], task: FileTask) -> "Face":
        if task.face_pack is None:
            raise ValueError("a task without a face pack looks for no face")
        self.analyses += 1
        analyser = self._analyser(task.face_pack)
        face = analyser.analyse(rgb, task.face_select, embedding=task.embedding, photo=not task.poses)
        if task.poses:
            return face
        face = self._judged(rgb, face)
        least = task.face_pack.sure_score
        if face.score < least:
            note = f"weak_detection: the detector gives this face {face.score:.2f}, sure ones have {least:g} or more"
            face = replace(face, warnings=(*face.warnings, note))
        return face

    def _judged(self, rgb: npt.NDArray[np.uint8], face: "Face") -> "Face":
        """Return the face with the judge's embedding; a judge that breaks costs that alone. Its RunError is raised."""
        if self._judge is None:
            return face
        try:
            return replace(face, judge_embedding=self._judge().embed(turn(rgb, face.turns), face.keypoints))
        except RunError:
            raise
        except Exception as error:
            logger.exception("the judge broke")
            return replace(face, warnings=(*face.warnings, f"check_failed: judge ({type(error).__name__})"))


def _nbytes(result: _Result) -> int:
    return result.nbytes if isinstance(result, FileResult) else 1024
