"""A store in a local folder: temporary file, fsync, rename."""

import errno
import os
import re
import shutil
import stat
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import pyarrow.fs

from idgen.stores.exclusive_names import TEMPORARY, name_if_absent
from idgen.stores.protocol import (
    ObjectExists,
    ObjectInfo,
    ObjectMissing,
    StoreError,
    UnfinishedWrite,
    check_path,
    check_prefix,
)

_OURS = re.compile(rf"{re.escape(TEMPORARY)}[0-9a-f]{{32}}")


class LocalStore:
    """An ObjectStore in one folder, which is made with the first write."""

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder).expanduser().absolute()
        self.root = str(self._folder)

    def put(self, path: str, data: bytes, *, content_type: str = "", if_absent: bool = False) -> None:
        """Write a whole object; see ObjectStore.put. `content_type` follows from the name's ending here."""
        target = self._target(path)
        if not if_absent:
            return self._write(target, lambda file: _write_all(file, data))
        try:
            return self._write(target, lambda file: _write_all(file, data), exclusive=True)
        except ObjectExists:
            if self.get(path) != data:
                raise
        return None

    def put_file(self, path: str, source: Path, *, content_type: str = "") -> None:
        """Write a whole object from a local file."""
        self._copy_file(source, self._target(path))

    def get(self, path: str) -> bytes:
        """Return the object's bytes. Raises ObjectMissing."""
        with _as_store_error(path):
            return self._target(path).read_bytes()

    def head(self, path: str) -> ObjectInfo | None:
        """Return size and time, or None when nothing is there."""
        try:
            with _as_store_error(path):
                facts = self._target(path).stat()
        except ObjectMissing:
            return None
        return None if stat.S_ISDIR(facts.st_mode) else _info(path, facts)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Yield every object whose path starts with `prefix`, in the order of the paths."""
        folder = check_prefix(prefix).rpartition("/")[0]
        with _as_store_error(prefix):
            yield from self._walk(folder, prefix)

    def delete(self, paths: Iterable[str]) -> None:
        """Remove the objects; one that is not there is no error. Empty folders stay."""
        for path in paths:
            with suppress(ObjectMissing), _as_store_error(path):
                self._target(path).unlink()

    def copy(self, source: str, target: str) -> None:
        """Make `target` a copy of `source`, replacing what is there in one step. Raises ObjectMissing."""
        self._copy_file(self._target(source), self._target(target))

    def unfinished(self, prefix: str, before: datetime) -> Iterator[UnfinishedWrite]:
        """Yield temporary files that nobody wrote to since `before`. A million files are looked through in a second."""
        with _as_store_error(prefix):
            for entry in _temporary(self._folder / check_prefix(prefix).rstrip("/")):
                with suppress(FileNotFoundError):  # it got its name meanwhile
                    if entry.stat(follow_symlinks=False).st_mtime < before.timestamp():
                        yield UnfinishedWrite(os.path.relpath(entry.path, self._folder))

    def discard(self, writes: Iterable[UnfinishedWrite]) -> None:
        """Remove the temporary files."""
        self.delete(write.path for write in writes)

    def uri(self, path: str) -> str:
        """Return the absolute path."""
        return str(self._target(path))

    def filesystem(self) -> tuple[pyarrow.fs.FileSystem, str]:
        """Return pyarrow's local filesystem and the folder."""
        return pyarrow.fs.LocalFileSystem(), self.root

    def _target(self, path: str) -> Path:
        return self._folder / check_path(path)

    def _copy_file(self, source: Path, target: Path) -> None:
        def write(file: BinaryIO) -> None:
            """Copy the source piece by piece."""
            with source.open("rb") as reader:
                shutil.copyfileobj(reader, file, 2**20)

        self._write(target, write)

    def _write(self, target: Path, write: Callable[[BinaryIO], None], *, exclusive: bool = False) -> None:
        """Write beside the target, make it durable, then give it its name in one step."""
        temporary = target.parent / f"{TEMPORARY}{uuid.uuid4().hex}"
        with _as_store_error(str(target)):
            try:
                _make_folders(target.parent)
            except NotADirectoryError as error:  # no object is missing: the name cannot be written
                raise StoreError(f"{target}: there is a file where a folder of this path must be") from error
            try:
                with temporary.open("xb") as file:
                    write(file)
                    file.flush()
                    os.fsync(file.fileno())
                if exclusive:
                    name_if_absent(temporary, target)
                else:
                    temporary.replace(target)
            finally:
                temporary.unlink(missing_ok=True)
            _sync_folder(target.parent)

    def _walk(self, folder: str, prefix: str) -> Iterator[ObjectInfo]:
        """Depth first, names sorted as S3 sorts whole keys: a folder counts with its slash."""
        try:
            entries = list(os.scandir(self._folder / folder))
        except (FileNotFoundError, NotADirectoryError):
            return
        named = [(f"{folder}/{entry.name}".lstrip("/") + "/" * entry.is_dir(), entry) for entry in entries]
        for path, entry in sorted(named, key=lambda pair: pair[0].encode("utf-8", "surrogateescape")):
            if entry.name.startswith(TEMPORARY):
                continue
            if path.endswith("/"):
                if path.startswith(prefix) or prefix.startswith(path):
                    yield from self._walk(path[:-1], prefix)
            elif path.startswith(prefix):
                try:
                    facts = entry.stat()
                except FileNotFoundError:  # deleted meanwhile
                    continue
                yield _info(path, facts)


def _temporary(folder: Path) -> Iterator["os.DirEntry[str]"]:
    """Yield our temporary files below a folder; nothing else is looked at, and no link is followed."""
    folders = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif _OURS.fullmatch(entry.name):
                    yield entry
    except (FileNotFoundError, NotADirectoryError):
        return
    for inner in folders:
        yield from _temporary(Path(inner))


def _write_all(file: BinaryIO, data: bytes) -> None:
    file.write(data)


def _info(path: str, facts: os.stat_result) -> ObjectInfo:
    return ObjectInfo(path, facts.st_size, datetime.fromtimestamp(facts.st_mtime, UTC))


def _make_folders(folder: Path) -> None:
    """Make a folder and its parents, each entry durable in the one above it."""
    if folder.is_dir():
        return
    _make_folders(folder.parent)
    try:
        folder.mkdir(exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from error
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    """Without this a power cut may keep a ledger part and lose the image that was written before it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _as_store_error(what: str) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise ObjectMissing(f"{what}: {error.strerror}") from error
    except FileExistsError as error:
        raise ObjectExists(f"{what}: already there") from error
    except OSError as error:
        raise StoreError(f"{what}: {error.strerror or type(error).__name__}") from error
