"""From the references of a shard's rows to identities: every distinct one fetched once and analysed once.

Fetching waits, so it is done by threads; decoding and analysing compute, so they are done here, one reference at a
time. That also makes a crash in a decoder the crash of exactly one reference: the one between `begin` and `end`.
"""

import hashlib
import itertools
import logging
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from idgen.config import SourcesConfig
from idgen.errors import Code, RowError
from idgen.faces.identity import Identity, Request, join
from idgen.sources.images import Photo, decode
from idgen.sources.redact import redact_uri

if TYPE_CHECKING:
    from idgen.faces.analysis import Face

__all__ = ["Identity", "ReferenceReader", "Request"]

logger = logging.getLogger(__name__)

REMEMBERED = 1024  # references kept over shards, about 2.5 kB each
ASK_EVERY_S = 0.5  # a stop is heard so soon; asking may cost a call over the network
PHOTOS_PER_THREAD = 2  # fetched and not yet analysed


class Analyser(Protocol):
    """What is asked of faces/analysis.py."""

    def analyse(self, rgb: npt.NDArray[np.uint8], face_select: str) -> "Face":
        """Return the chosen face of `rgb` [H, W, 3]; raises RowError."""


class Source(Protocol):
    """What is asked of sources/fetch.py."""

    def fetch(self, uri: str) -> bytes:
        """Return the file; raises RowError."""


@dataclass(frozen=True, slots=True)
class _Reference:
    """One photo, what it must hash to, and which face of it; `photo` names it without its signature."""

    photo: str
    sha256: str
    face_select: str

    @property
    def digest(self) -> str:
        text = "\n".join((self.photo, self.sha256, self.face_select))
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


_Result = Identity | RowError


class ReferenceReader:
    """Reads references for one actor; `analyses` and `fetches` count what was really done."""

    def __init__(self, fetcher: Source, analyser: Analyser, sources: SourcesConfig) -> None:
        self._fetcher = fetcher
        self._analyser = analyser
        self._sources = sources
        self._remembered: OrderedDict[_Reference, _Result] = OrderedDict()
        self.analyses = 0
        self.fetches = 0

    def read(
        self,
        requests: Sequence[Request],
        should_stop: Callable[[], bool] = lambda: False,
        *,
        begin: Callable[[str], None] = lambda digest: None,
        end: Callable[[str], None] = lambda digest: None,
        skip: Mapping[str, RowError] | None = None,
    ) -> list[_Result | None]:
        """Return for each request its identity, or why there is none, or None when the stop came first.

        `should_stop` is asked twice a second at most, also while all fetches hang.
        `begin` and `end` are called around each decoding and analysis with the reference's digest (`digests`): a
        digest that was begun and not ended is what the process died of. References in `skip` end with the error given.
        """
        wanted = [self._references(request) for request in requests]
        done: dict[_Reference, _Result] = {}
        for reference in dict.fromkeys(itertools.chain.from_iterable(wanted)):
            if skip and reference.digest in skip:
                done[reference] = skip[reference.digest]
            elif reference in self._remembered:
                self._remembered.move_to_end(reference)
                done[reference] = self._remembered[reference]
        uris = {
            reference.photo: uri
            for request, references in zip(requests, wanted, strict=True)
            for reference, uri in zip(references, request.uris, strict=True)
        }
        left = [
            reference for reference in dict.fromkeys(itertools.chain.from_iterable(wanted)) if reference not in done
        ]
        for reference, result in self._analysed(left, uris, _seldom(should_stop), begin, end):
            done[reference] = result
            self._remember(reference, result)
        return [join([done.get(reference) for reference in references]) for references in wanted]

    def digests(self, request: Request) -> list[str]:
        """Return the names by which `begin`, `end` and `skip` know the request's references."""
        return [reference.digest for reference in self._references(request)]

    def _references(self, request: Request) -> list[_Reference]:
        sha256s = request.sha256s or ("",) * len(request.uris)
        if not request.uris or len(sha256s) != len(request.uris):
            raise ValueError("a request has one or more references, and no hashes or as many")
        names = (redact_uri(uri, self._sources.signature_parameters) for uri in request.uris)
        return [_Reference(n, s.lower(), request.face_select) for n, s in zip(names, sha256s, strict=True)]

    def _analysed(
        self,
        references: list[_Reference],
        uris: Mapping[str, str],
        should_stop: Callable[[], bool],
        begin: Callable[[str], None],
        end: Callable[[str], None],
    ) -> Iterator[tuple[_Reference, _Result]]:
        """Yield each reference with its result, photo by photo, until `should_stop`."""
        by_photo: dict[str, list[_Reference]] = {}
        for reference in references:
            by_photo.setdefault(reference.photo, []).append(reference)
        for photo, data in self._fetched({name: uris[name] for name in by_photo}, should_stop):
            decoded: Photo | None = None
            for reference in by_photo[photo]:
                if isinstance(data, RowError):
                    yield reference, data
                    continue
                begin(reference.digest)
                try:
                    digest = _verified(data, reference.sha256)
                    decoded = decoded or decode(data, self._sources)
                    result: _Result = self._analyse(decoded, reference.face_select, digest)
                except RowError as error:
                    result = error
                except Exception as error:
                    logger.exception("a reference met a bug")
                    result = RowError(Code.INTERNAL, f"faces: {type(error).__name__}")
                finally:
                    end(reference.digest)
                yield reference, result

    def _analyse(self, photo: Photo, face_select: str, digest: str) -> Identity:
        self.analyses += 1
        face = self._analyser.analyse(photo.rgb, face_select)
        return Identity(
            id_embedding=np.asarray(face.embedding, dtype=np.float32),
            reference_box=[float(value) for value in face.box],
            reference_keypoints=[float(value) for value in face.keypoints.ravel()],
            reference_score=[float(face.score)],
            reference_faces=[face.faces_found],
            reference_size=list(face.size),
            reference_digest=[digest],
            warnings=[*photo.warnings, *face.warnings],
        )

    def _fetched(
        self, uris: Mapping[str, str], should_stop: Callable[[], bool]
    ) -> Iterator[tuple[str, bytes | RowError]]:
        """Yield the photos in order; at most 2 x threads of them are in flight or in memory."""
        if not uris:
            return
        threads = max(1, min(self._sources.threads, len(uris)))
        pool = ThreadPoolExecutor(threads, thread_name_prefix="fetch")
        ahead: deque[tuple[str, Future[bytes | RowError]]] = deque()
        waiting = iter(uris.items())
        try:
            while not should_stop():
                for name, uri in itertools.islice(waiting, PHOTOS_PER_THREAD * threads - len(ahead)):
                    self.fetches += 1
                    ahead.append((name, pool.submit(self._fetch, uri)))
                if not ahead:
                    return
                name, future = ahead.popleft()
                while not wait([future], timeout=ASK_EVERY_S).done:
                    if should_stop():
                        return
                yield name, future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # what is on its way ends by its own deadline

    def _fetch(self, uri: str) -> bytes | RowError:
        try:
            return self._fetcher.fetch(uri)
        except RowError as error:
            return error
        except Exception as error:
            logger.exception("a fetch met a bug")
            return RowError(Code.INTERNAL, f"fetch: {type(error).__name__}")

    def _remember(self, reference: _Reference, result: _Result) -> None:
        if isinstance(result, RowError) and result.retriable:
            return
        self._remembered[reference] = result
        if len(self._remembered) > REMEMBERED:
            self._remembered.popitem(last=False)


def _seldom(ask: Callable[[], bool]) -> Callable[[], bool]:
    """Return `ask` with its last answer kept for ASK_EVERY_S."""
    asked_s, answer = float("-inf"), False

    def seldom() -> bool:
        nonlocal asked_s, answer
        if not answer and time.monotonic() - asked_s >= ASK_EVERY_S:
            answer, asked_s = ask(), time.monotonic()
        return answer

    return seldom


def _verified(data: bytes, expected: str) -> str:
    digest = hashlib.sha256(data).hexdigest()
    if expected and digest != expected:
        raise RowError(Code.SHA256_MISMATCH, f"the file's sha256 begins with {digest[:12]}")
    return digest
