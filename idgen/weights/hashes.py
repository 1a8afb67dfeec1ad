"""sha256 of files and folders, remembered by path, size and time of change."""

import hashlib
import json
import logging
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from idgen.errors import Exit, RunError

log = logging.getLogger(__name__)

Files = list[tuple[str, Path]]
"""Names inside a folder, and where the files are."""


def hash_cache() -> Path | None:
    """Return where this machine remembers the hashes of unchanged files; None without a home folder."""
    try:
        return Path("~/.cache/idgen/hashes.json").expanduser()
    except RuntimeError:
        return None


class HashCache:
    """sha256 by path, size and time of change; None = hash all."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._entries: dict[str, list[int | str]] = {}
        self._changed = False
        if path is not None:
            with suppress(OSError, ValueError, TypeError):  # no cache, or a damaged one, costs time, nothing else
                self._entries = dict(json.loads(path.read_text()))

    def sha256(self, path: Path) -> str:
        """Return the file's sha256. Raises RunError when it is not a file."""
        real = path.resolve()
        if not real.is_file():
            raise RunError(Exit.USAGE, f"weights file {path} does not exist")
        stat = real.stat()
        entry = self._entries.get(str(real))
        if entry is not None and entry[:2] == [stat.st_size, stat.st_mtime_ns]:
            return str(entry[2])
        with real.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self._entries[str(real)] = [stat.st_size, stat.st_mtime_ns, digest]
        self._changed = True
        return digest

    def tree(self, files: Files) -> str:
        """Return one sha256 over names and contents; where the folder lies makes no difference."""
        lines = "".join(f"{name}\0{self.sha256(path)}\n" for name, path in sorted(files))
        return hashlib.sha256(lines.encode()).hexdigest()

    def save(self) -> None:
        """Write the cache back; drivers that run at once lose each other's entries, never the file."""
        if self._path is None or not self._changed:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=self._path.parent)
            try:
                with os.fdopen(handle, "w") as file:
                    json.dump(self._entries, file)
                os.replace(temporary, self._path)
            except OSError:
                os.unlink(temporary)
                raise
        except OSError as error:  # a home that cannot be written costs hashing again, nothing else
            log.warning("hashes of weights cannot be remembered: %s", error)
