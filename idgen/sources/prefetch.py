"""Threads that fetch files a little ahead of their consumer, in its order."""

import itertools
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Protocol

from idgen.errors import Code, RowError
from idgen.lru_cache import LruCache

logger = logging.getLogger(__name__)

ASK_EVERY_S = 0.5  # a stop is heard so soon; asking may cost a call over the network
FILES_PER_THREAD = 2  # fetched and not yet worked on
REMEMBERED_BYTES = 64 * 2**20  # of files: another recipe may want other crops of the same photos

File = bytes | RowError
Names = tuple[str, ...]


class Source(Protocol):
    """What is asked of sources/fetch.py."""

    def fetch(self, uri: str) -> bytes:
        """Return the file; raises RowError."""


class Prefetch:
    """Fetches files for one actor; `fetches` counts what the source was really asked for."""

    def __init__(self, source: Source, threads: int) -> None:
        self._source = source
        self._threads = max(1, threads)
        self._remembered: LruCache[str, bytes] = LruCache(len, REMEMBERED_BYTES)
        self.fetches = 0

    def fetched(
        self, groups: Sequence[Names], uris: Mapping[str, str], should_stop: Callable[[], bool]
    ) -> Iterator[tuple[Names, tuple[File, ...]]]:
        """Yield each group of names with its files, or why they are not there, until `should_stop`.

        `uris` tells where the file of a name lies. A file of several groups is fetched once while it is remembered;
        one that failed is not tried again in this call. At most 2 x threads files (and the rest of one group) are in
        flight or wait in memory, beside the remembered ones. `should_stop` is asked twice a second at most, also
        while all fetches hang.
        """
        if not groups:
            return
        asked = _seldom(should_stop)
        threads = min(self._threads, len(set(itertools.chain.from_iterable(groups))))
        pool = ThreadPoolExecutor(threads, thread_name_prefix="fetch")
        started: dict[str, Future[File]] = {}  # of the groups ahead, and all that failed
        ahead: deque[Names] = deque()
        waiting = deque(groups)
        try:
            while not asked():
                while waiting and sum(map(len, ahead)) < FILES_PER_THREAD * threads:
                    ahead.append(waiting.popleft())
                    for name in ahead[-1]:
                        if name not in started:
                            started[name] = self._start(pool, name, uris[name])
                if not ahead:
                    return
                group = ahead.popleft()
                while wait([started[name] for name in group], timeout=ASK_EVERY_S).not_done:
                    if asked():
                        return
                files = tuple(started[name].result() for name in group)
                for name, file in zip(group, files, strict=True):
                    if isinstance(file, bytes):
                        self._remembered.put(name, file)
                        if not any(name in other for other in ahead):
                            started.pop(name, None)
                yield group, files
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # what is on its way ends by its own deadline

    def _start(self, pool: ThreadPoolExecutor, name: str, uri: str) -> Future[File]:
        if (remembered := self._remembered.get(name)) is not None:
            future: Future[File] = Future()
            future.set_result(remembered)
            return future
        self.fetches += 1
        return pool.submit(self._fetch, uri)

    def _fetch(self, uri: str) -> File:
        try:
            return self._source.fetch(uri)
        except RowError as error:
            return error
        except Exception as error:
            logger.exception("a fetch hit a bug")
            return RowError(Code.INTERNAL, f"fetch: {type(error).__name__}")


def _seldom(ask: Callable[[], bool]) -> Callable[[], bool]:
    """Return `ask` with its last answer kept for ASK_EVERY_S."""
    asked_s, answer = float("-inf"), False

    def seldom() -> bool:
        """Ask again only when the last answer is old."""
        nonlocal asked_s, answer
        if not answer and time.monotonic() - asked_s >= ASK_EVERY_S:
            answer, asked_s = ask(), time.monotonic()
        return answer

    return seldom
