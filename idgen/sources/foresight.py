"""What is known of an address before anything is fetched: that it may not be, or that its file is not here."""

import os
import unicodedata
from functools import lru_cache

from idgen.sources.fetch import Fetcher, scheme_of
from idgen.sources.local import path_of

EXAMPLES = 3
_REMEMBERED = 8192


class Foresight:
    """Judges the plan's addresses; asks no server and opens no file."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher
        self.missing = 0
        """Local files that are not here. No refusal: the workers may see other folders than the driver."""
        self.missing_like: list[str] = []
        """The first few of them, as they are spelled."""
        self.judge = lru_cache(_REMEMBERED)(self._judge)

    def _judge(self, uri: str) -> None:
        """Raise RowError(URI_FORBIDDEN) for an address that the configuration does not allow."""
        self._fetcher.check(uri)
        if scheme_of(uri) == "file" and not _is_here(path_of(uri)):
            self.missing += 1
            if len(self.missing_like) < EXAMPLES:
                self.missing_like.append(uri)


def _is_here(path: str) -> bool:
    return any(os.path.exists(form) for form in {path, *(unicodedata.normalize(f, path) for f in ("NFC", "NFD"))})
