"""Photos from folders that the configuration names."""

import errno
import os
import stat
from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

from idgen.errors import Code, RowError

_MISSING = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EISDIR}


class LocalFiles:
    """Reads files under the given roots and nowhere else, whatever `..` and links say."""

    def __init__(self, roots: Sequence[str], max_bytes: int) -> None:
        self._roots = [os.path.realpath(os.path.expanduser(root)) for root in roots if root]
        self._max_bytes = max_bytes

    def fetch(self, uri: str) -> bytes:
        """Return the bytes of a path or file:// URI.

        Raises RowError: `uri_forbidden` outside the roots, `reference_missing`, `fetch_denied`, `too_many_bytes`.
        """
        real = self.real_path(uri)
        try:
            return self._read(real)
        except OSError as error:
            if error.errno in _MISSING:
                raise RowError(Code.REFERENCE_MISSING, "no such file") from None
            if error.errno in {errno.EACCES, errno.EPERM, errno.ELOOP}:
                raise RowError(Code.FETCH_DENIED, f"{error.strerror}") from None
            raise RowError(Code.FETCH_FAILED, f"{error.strerror}") from None

    def real_path(self, uri: str) -> str:
        """Return the path without links, if the roots allow it. Raises RowError `uri_forbidden`."""
        path = path_of(uri)
        try:
            real = os.path.realpath(path)
        except (ValueError, OSError):  # NUL inside; surrogates
            raise RowError(Code.URI_FORBIDDEN, "no file name") from None
        if not any(os.path.commonpath([root, real]) == root for root in self._roots):
            raise RowError(Code.URI_FORBIDDEN, "the file lies outside the folders of sources.roots")
        return real

    def _read(self, real: str) -> bytes:
        # O_NOFOLLOW: `real` holds no link, so a link in its last place was put there after the check.
        # O_NONBLOCK: a pipe would wait for a writer for ever.
        descriptor = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise RowError(Code.URI_FORBIDDEN, "not a regular file")
            # a folder on the way may have become a link; a file that is gone by now was still the right one
            if _opened_path(descriptor, real) not in (real, f"{real} (deleted)"):
                raise RowError(Code.URI_FORBIDDEN, "the file's folder changed while it was opened")
            data = file.read(self._max_bytes + 1)
        if len(data) > self._max_bytes:
            raise RowError(Code.TOO_MANY_BYTES, f"more than {self._max_bytes} bytes")
        return data


def _opened_path(descriptor: int, real: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except FileNotFoundError:  # no /proc here: look again at least
        return os.path.realpath(real)


def path_of(uri: str) -> str:
    """Return the path that a plain path or a file:// URI names; raises RowError `uri_forbidden` for other machines."""
    if not uri.lower().startswith("file:"):
        return uri
    try:
        parts = urlsplit(uri)
    except ValueError:
        raise RowError(Code.URI_FORBIDDEN, "no file URI") from None
    if parts.netloc.lower() not in ("", "localhost"):
        raise RowError(Code.URI_FORBIDDEN, "a file URI names another machine; write file:///path")
    if parts.query or parts.fragment:
        raise RowError(Code.URI_FORBIDDEN, "write ? as %3F and # as %23 in a file URI")
    return unquote(parts.path)
