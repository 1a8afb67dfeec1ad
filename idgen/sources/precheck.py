"""What is known of an address before anything is fetched: that it is not allowed, or that its file is not here."""

import os
import unicodedata
from collections.abc import Callable

from idgen.sources.fetch import Fetcher, scheme_of
from idgen.sources.local import path_of


class Precheck:
    """Judges the plan's addresses; asks no server and opens no file."""

    def __init__(self, fetcher: Fetcher, check_stop: Callable[[], None] = lambda: None) -> None:
        """`check_stop` raises to end it: a million photos on a network folder take minutes."""
        self._fetcher, self._check_stop = fetcher, check_stop

    def is_missing(self, uri: str) -> bool:
        """Return whether `uri` is a local file that is not here: workers may see other folders than the driver.

        Raises RowError(URI_FORBIDDEN) for an address that the configuration does not allow, whatever lies there.
        """
        self._check_stop()
        self._fetcher.check(uri)
        return scheme_of(uri) == "file" and not _is_here(path_of(uri))


def _is_here(path: str) -> bool:
    return any(os.path.exists(form) for form in {path, *(unicodedata.normalize(f, path) for f in ("NFC", "NFD"))})
