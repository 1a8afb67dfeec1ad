"""What every store promises: whole objects only, create-if-absent, and one family of errors."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

import pyarrow.fs

MAX_PATH_CHARS = 900
"""S3 allows 1024 bytes for prefix and path together."""


class StoreError(Exception):
    """The store did not do what was asked, retries included. The message holds no credentials."""


class ObjectExists(StoreError):  # noqa: N818 - a state, not a fault
    """Somebody else's object is already under that path."""


class ObjectMissing(StoreError):  # noqa: N818 - a state, not a fault
    """Nothing is stored under that path."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One object: its path below the store's root, size in bytes, and time of the last write (UTC)."""

    path: str
    bytes: int
    modified: datetime


@dataclass(frozen=True, slots=True)
class UnfinishedWrite:
    """A write that began and never ended: no reader sees it, but it takes room and may hold anything."""

    path: str
    """Where its bytes lie, or would have come to lie."""
    upload: str = ""
    """The store's own name for it."""


class ObjectStore(Protocol):
    """A folder tree of immutable bytes. Paths are relative, `/` between segments; see `check_path`.

    All methods are thread-safe, may be pickled to another process, and raise StoreError for what retries did not mend.
    """

    root: str
    """The URI this store was opened with, in normal form and without a trailing slash."""

    def put(self, path: str, data: bytes, *, content_type: str = "", if_absent: bool = False) -> None:
        """Write a whole object; a reader sees all of it or nothing.

        With `if_absent`, raises ObjectExists when other bytes are there already. Equal bytes are taken for our own
        earlier try whose answer got lost, so writers that must exclude each other put a token of their own inside.
        """

    def put_file(self, path: str, source: Path, *, content_type: str = "") -> None:
        """Write a whole object from a local file without reading it into memory; as atomic as `put`."""

    def get(self, path: str) -> bytes:
        """Return the object's bytes. Raises ObjectMissing."""

    def head(self, path: str) -> ObjectInfo | None:
        """Return size and time, or None when nothing is there."""

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Yield every object whose path starts with `prefix` (a string, not a folder), in the order of the paths."""

    def delete(self, paths: Iterable[str]) -> None:
        """Remove the objects; one that is not there is no error."""

    def copy(self, source: str, target: str) -> None:
        """Make `target` a copy of `source`, replacing what is there in one step. Raises ObjectMissing."""

    def unfinished(self, prefix: str, before: datetime) -> Iterator[UnfinishedWrite]:
        """Yield the writes below `prefix` (a folder with its slash) that stand still since before `before`."""

    def discard(self, writes: Iterable[UnfinishedWrite]) -> None:
        """Remove what is left of these writes; one that is not there is no error."""

    def uri(self, path: str) -> str:
        """Return the address a person can use: a local path or s3://bucket/key."""

    def filesystem(self) -> tuple[pyarrow.fs.FileSystem, str]:
        """Return a pyarrow filesystem and this store's root inside it, for Parquet datasets (reading)."""


def check_path(path: str) -> str:
    """Return `path` when it stays below a root whatever it is joined to, else raise ValueError.

    Refused: empty or absolute paths, empty segments, `.` and `..`, backslashes, control characters, more than 900
    characters. Nothing is unquoted, so `%2e%2e` is a plain name.
    """
    segments = path.split("/")
    if len(path) > MAX_PATH_CHARS or any(segment in ("", ".", "..") for segment in segments):
        raise ValueError(f"not a path inside a store: {path[:80]!r}")
    if "\\" in path or not path.isprintable():
        raise ValueError(f"not a path inside a store: {path[:80]!r}")
    return path


def check_prefix(prefix: str) -> str:
    """Return `prefix` when it is empty or the beginning of a path `check_path` allows, else raise ValueError."""
    whole = prefix.removesuffix("/")
    if prefix:
        check_path(whole)
    return prefix
