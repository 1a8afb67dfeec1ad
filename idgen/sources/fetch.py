"""Fetches every photo: from a URI to bytes, or to a code that says why not."""

import re
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from typing import Literal

from idgen.config import SourcesConfig
from idgen.errors import Code, RowError
from idgen.sources.addresses import Resolver, resolve
from idgen.sources.http import HttpFiles, parse_target
from idgen.sources.local import LocalFiles
from idgen.sources.redact import redact_text, redact_uri
from idgen.sources.s3 import S3Files

MAX_URI_CHARS = 8192
_FORMS: tuple[Literal["NFC", "NFD"], ...] = ("NFC", "NFD")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):(?://|$)|(file):", re.IGNORECASE)


class Fetcher:
    """Fetches whole files within the limits of `SourcesConfig`; thread-safe, a file at a time in each thread."""

    def __init__(self, config: SourcesConfig, *, extra_roots: Sequence[str] = (), resolver: Resolver = resolve) -> None:
        """`extra_roots`: further folders that may be read (the manifest's own). `resolver` stands in for DNS."""
        self._config = config
        self._local = LocalFiles([*config.roots, *extra_roots], config.max_bytes)
        self._http = HttpFiles(config, resolver)
        self._s3 = S3Files(config)

    def fetch(self, uri: str) -> bytes:
        """Return the file's bytes, at most `max_bytes`.

        Raises RowError: uri_forbidden, reference_missing, fetch_denied, fetch_failed, fetch_timeout or too_many_bytes.
        Its detail names the file without userinfo, query and fragment.
        """
        try:
            return self._fetch_either(uri)
        except RowError as error:
            raise RowError(error.code, f"{error.detail} ({self._name(uri)})") from error.__cause__

    def check(self, uri: str) -> None:
        """Raise RowError `uri_forbidden` for an address that fetch would refuse whatever lies there; asks nobody."""
        try:
            self._check(uri)
        except RowError as error:
            raise RowError(error.code, f"{error.detail} ({self._name(uri)})") from None

    def _check(self, uri: str) -> None:
        scheme = self._scheme(uri)
        if scheme == "file":
            self._local.real_path(uri)
        elif scheme == "s3":
            self._s3.place_of(uri)
        else:
            self._http.check(parse_target(uri))

    def _scheme(self, uri: str) -> str:
        """Return the scheme of an address, if that may be fetched from at all."""
        if not uri.strip() or len(uri) > MAX_URI_CHARS:
            raise RowError(Code.URI_FORBIDDEN, f"an address has 1 to {MAX_URI_CHARS} characters")
        scheme = scheme_of(uri)
        if scheme not in self._config.schemes:
            raise RowError(Code.URI_FORBIDDEN, f"scheme {scheme[:20]} is not in sources.schemes")
        if scheme not in ("file", "s3", "http", "https"):
            raise RowError(Code.URI_FORBIDDEN, f"scheme {scheme[:20]} is not supported")
        return scheme

    def _fetch_either(self, uri: str) -> bytes:
        """Fetch a file whose name may be stored in the other normal form: macOS writes é as two characters."""
        try:
            return self._fetch(uri)
        except RowError as error:
            others = {unicodedata.normalize(form, uri) for form in _FORMS} - {uri}
            if error.code != Code.REFERENCE_MISSING or not others:
                raise
            for other in sorted(others):
                with suppress(RowError):
                    return self._fetch(other)
            raise

    def _fetch(self, uri: str) -> bytes:
        scheme = self._scheme(uri)
        if scheme == "file":
            return self._local.fetch(uri)
        return self._s3.fetch(uri) if scheme == "s3" else self._http.fetch(uri)

    def _name(self, uri: str) -> str:
        name = redact_uri(uri, self._config.hidden_parameters)
        if scheme_of(uri) in ("http", "https"):
            name = name.partition("?")[0]
        return redact_text(name if len(name) <= 120 else f"{name[:60]}...{name[-57:]}")


def scheme_of(uri: str) -> str:
    """Return the scheme in lower case; `file` for a plain path."""
    found = _SCHEME.match(uri)
    return "file" if found is None else (found[1] or found[2]).lower()
