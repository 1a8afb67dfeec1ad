"""Addresses in a manifest: relative ones start at the manifest's own folder; keys see them redacted."""

import posixpath
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from idgen.sources.redact import redact_uri, redact_uris
from idgen.values import Cell

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://", re.ASCII)
_REMEMBERED = 8192  # references repeat, and sort together in most manifests


def is_uri(text: str) -> bool:
    """Return whether `text` begins with a scheme, as in s3://."""
    return _SCHEME.match(text) is not None


class Addresses:
    """Where addresses start, and what is left of them in a key."""

    def __init__(self, folder: str, signature_parameters: Sequence[str], secret_parameters: Sequence[str] = ()) -> None:
        """`folder` is the manifest's: a local path, or a URI such as s3://bucket/prefix.

        Keys have no signatures; what is written down has no secrets either.
        """
        self.folder = folder if is_uri(folder) else str(Path(folder).expanduser().absolute())
        parameters = tuple(signature_parameters)
        self.absolute = lru_cache(_REMEMBERED)(self._absolute)
        self.redacted = lru_cache(_REMEMBERED)(lambda uri: redact_uri(uri, parameters))
        self._parameters, self._hidden = parameters, (*parameters, *secret_parameters)

    def stable(self, text: str) -> str:
        """Return text with the signatures of all its addresses left out, for keys."""
        return redact_uris(text, self._parameters)

    def clean(self, value: Cell) -> Cell:
        """Return any value of a manifest with all addresses in it redacted; for ids and the shop's own columns."""
        if isinstance(value, str):
            return redact_uris(value, self._hidden)
        if isinstance(value, Mapping):
            return {name: self.clean(part) for name, part in value.items()}
        if isinstance(value, tuple):  # a map's entry
            return tuple(self.clean(part) for part in value)
        return [self.clean(part) for part in value] if isinstance(value, list) else value

    def _absolute(self, uri: str) -> str:
        """Return a URI or an absolute path; `..` stays inside the bucket, what may be read is decided by sources/."""
        if is_uri(uri) or uri[:6].lower() == "file:/":
            return uri
        if not is_uri(self.folder):
            return posixpath.normpath(posixpath.join(self.folder, uri))
        if uri.startswith("/"):
            return uri
        scheme, _, rest = self.folder.partition("://")
        bucket, _, prefix = rest.partition("/")
        return f"{scheme}://{bucket}{posixpath.normpath(posixpath.join('/', prefix, uri))}"
