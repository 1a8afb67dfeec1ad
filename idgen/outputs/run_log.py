"""A run's log as JSON lines in its folder, because Ray's own logs vanish with the cluster."""

import json
import logging
import os
import re
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from idgen.outputs.run_folder import RunFolder
from idgen.stores.protocol import ObjectStore, StoreError

_MAX_CHUNK_BYTES = 2**20
_MAX_BUFFER_LINES = 100_000
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_-]")


class RunLog(logging.Handler):
    """Collects records and writes them to logs/<name>-<host>-<pid>-<n>.jsonl each minute and on close.

    Object stores cannot append: the newest file is written again whole until it holds a megabyte, then the next one
    begins. A store that is away costs no record until 100,000 wait, and never raises into the program.

        logging.getLogger("idgen").addHandler(RunLog(folder, "driver"))
    """

    def __init__(self, folder: RunFolder, name: str, *, flush_s: float = 60.0) -> None:
        super().__init__()
        self._folder = folder
        host = _NOT_IN_A_NAME.sub("-", socket.gethostname())[:40]
        self._name = f"logs/{_NOT_IN_A_NAME.sub('-', name)}-{host}-{os.getpid()}"
        self._chunk: list[bytes] = []
        self._chunk_number = 0
        self._written_lines = 0
        self._write_lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._flush_regularly, args=(flush_s,), name="run-log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Take one record, redacted; nothing is written yet."""
        try:
            text = record.getMessage()
            if record.exc_info:
                text = f"{text}\n{logging.Formatter().formatException(record.exc_info)}"
            line = {
                "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
                "level": record.levelname,
                "logger": record.name,
                "message": self._folder.redacted(text),
            }
            if len(self._chunk) < _MAX_BUFFER_LINES:
                self._chunk.append(json.dumps(line, ensure_ascii=False).encode() + b"\n")
        except Exception:
            self.handleError(record)

    def flush(self) -> None:
        """Write what came since the last time; what the store refuses waits for the next time."""
        with self._write_lock:
            self.acquire()  # the handler's own lock, which emit runs under
            lines = list(self._chunk)
            self.release()
            if len(lines) == self._written_lines:
                return
            data = b"".join(lines)
            try:
                path = self._folder.file(f"{self._name}-{self._chunk_number:04d}.jsonl")
                self._folder.store.put(path, data, content_type="application/x-ndjson")
            except StoreError:
                return
            self._written_lines = len(lines)
            if len(data) >= _MAX_CHUNK_BYTES:
                self.acquire()
                del self._chunk[: len(lines)]
                self.release()
                self._chunk_number += 1
                self._written_lines = 0

    def close(self) -> None:
        """Write the rest and stop."""
        self._stop.set()
        self._thread.join()
        self.flush()
        super().close()

    def _flush_regularly(self, flush_s: float) -> None:
        while not self._stop.wait(flush_s):
            self.flush()


@contextmanager
def run_log(folder: RunFolder, name: str) -> Iterator[None]:
    """Keep idgen's log records in the run's folder while the block runs."""
    handler = RunLog(folder, name)
    logging.getLogger("idgen").addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger("idgen").removeHandler(handler)
        handler.close()


def keep_log(store: ObjectStore, run_id: str, name: str, signature_parameters: Sequence[str] = ()) -> None:
    """Keep idgen's log records of this process in the run's folder for as long as it lives; for actors."""
    folder = RunFolder(store, run_id, signature_parameters=signature_parameters)
    logging.getLogger("idgen").addHandler(RunLog(folder, name))
