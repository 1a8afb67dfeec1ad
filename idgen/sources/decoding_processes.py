"""Decodes photos in processes that may hang or die: what a file does to its decoder costs that file alone.

For who must go on whatever lies in a file, as a driver that holds a lease. The face actors have deadlines of their own.
"""

import contextlib
import multiprocessing
import queue
from multiprocessing.connection import Connection
from types import TracebackType

import numpy as np
from PIL import Image

from idgen.config import SourcesConfig
from idgen.errors import Code, RowError
from idgen.sources.images import Ground, Pixels, decode

DEADLINE_S = 15.0
"""A 64-megapixel JPEG takes two seconds."""
START_S = 60.0
"""Longest until a process has imported what it needs."""
_STARTED = b"started"


class DecodingProcesses:
    """A context manager with up to `count` processes, started when they are needed; thread-safe."""

    def __init__(self, limits: SourcesConfig, side_px: int, *, count: int = 2, deadline_s: float = DEADLINE_S) -> None:
        """Photos come back with no side longer than `side_px`."""
        self._limits, self._side_px, self._deadline_s = limits, side_px, deadline_s
        self._free: queue.LifoQueue[_Process | None] = queue.LifoQueue()
        for _ in range(count):
            self._free.put(None)
        self._count = count

    def decode(self, data: bytes, ground: Ground) -> Pixels:
        """Return the photo as uint8 [h, w, 3], reduced.

        Raises RowError: those of `images.decode`, and image_corrupt when its process died or took too long.
        """
        process = self._free.get()
        try:
            process = process or _Process(self._limits, self._side_px)
            return process.decode(data, ground, self._deadline_s)
        except (EOFError, OSError, TimeoutError):
            if process is not None:
                process.end()
                process = None
            raise RowError(Code.IMAGE_CORRUPT, f"not decoded in {self._deadline_s:g} s") from None
        finally:
            self._free.put(process)

    def __enter__(self) -> "DecodingProcesses":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the processes; call it when no thread decodes any more."""
        for _ in range(self._count):
            if (process := self._free.get()) is not None:
                process.end()


class _Process:
    """One process, asked for one photo at a time."""

    def __init__(self, limits: SourcesConfig, side_px: int) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would copy threads' locks
        self._connection, child = context.Pipe()
        self._process = context.Process(target=_serve, args=(child, limits, side_px), daemon=True)
        self._process.start()
        child.close()
        self._started = False

    def decode(self, data: bytes, ground: Ground, deadline_s: float) -> Pixels:
        """Raises RowError, TimeoutError, EOFError, OSError; after the last three the process is of no use."""
        if not self._started:
            self._receive(START_S)
            self._started = True
        self._connection.send((data, ground))
        found = self._receive(deadline_s)
        if isinstance(found, tuple):
            code, detail = found
            raise RowError(Code(code), detail)
        return np.asarray(found)

    def end(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.join()
        self._connection.close()

    def _receive(self, timeout_s: float) -> object:
        if not self._connection.poll(timeout_s):
            raise TimeoutError
        return self._connection.recv()


def _serve(connection: Connection, limits: SourcesConfig, side_px: int) -> None:
    """Decode what comes until the other end is closed."""
    with contextlib.suppress(EOFError, OSError, KeyboardInterrupt):
        connection.send(_STARTED)
        while True:
            data, ground = connection.recv()
            connection.send(_reduced(data, limits, ground, side_px))


def _reduced(data: bytes, limits: SourcesConfig, ground: Ground, side_px: int) -> Pixels | tuple[str, str]:
    """Return pixels, or code and detail of a RowError."""
    try:
        photo = Image.fromarray(decode(data, limits, ground).rgb)
    except RowError as error:
        return str(error.code), error.detail
    photo.thumbnail((side_px, side_px), Image.Resampling.LANCZOS, reducing_gap=2.0)
    return np.asarray(photo)
