"""The shop's own file names: named/<output_name>.<ext> is a copy of an image, made only after its ledger row.

A crash between the two leaves the old copy or none; `mend` makes the copies that are missing, and withdraws those of
pictures that must not be shown.
"""

import hashlib
import logging
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain, islice

from idgen.stores.protocol import ObjectInfo, ObjectMissing, ObjectStore, StoreError

log = logging.getLogger(__name__)

NAMED_DIR = "named"
FEW = 1000
"""Up to so many copies are looked at one by one; for more all of named/ is listed."""
_THREADS = 16
_TOLD = 20
"""Log lines about copies that cannot be made."""
MAX_SEGMENTS = 4
_SEGMENT = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedPicture:
    """An ok picture that has a name: where its copy would be, and of what."""

    named_path: str
    image_path: str
    image_bytes: int
    finished_at: datetime
    """Of the ledger row."""
    image_sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedSlot:
    """A name: the picture that it should show, and those that it must not show."""

    shown: NamedPicture | None
    """None: nothing may be shown; a copy of a picture that is not hidden stays."""
    hidden: tuple[NamedPicture, ...] = ()
    """Copies of these are withdrawn: a person rejected them, or a gate holds them back."""
    instead: NamedPicture | None = None
    """Where nothing is `shown`: what a copy of a hidden picture goes back to. It never takes any other copy's place."""
    exact: bool = False
    """Another picture of this name has as many bytes, so that only the content tells the copy's picture."""
    shows_newest: bool = True
    """`shown` is what the manifest asks for, not a picture from before."""


@dataclass(slots=True)
class Mended:
    """What was done to the copies."""

    copied: int = 0
    withdrawn: list[str] = field(default_factory=list)
    """Paths of copies that were removed."""
    missing: set[str] = field(default_factory=set)
    """Paths that do not show what they should: the copy could not be made."""


def named_path(output_name: str, image_index: int, num_images: int, extension: str) -> str:
    """Return the copy's path; `_00` and so on is added when the row asks for several images.

    Raises ValueError unless `output_name` is one to four segments of [A-Za-z0-9._-]{1,64} without a leading dot.
    """
    segments = output_name.split("/")
    if len(segments) > MAX_SEGMENTS or not all(_SEGMENT.fullmatch(segment) for segment in segments):
        raise ValueError("output_name: up to 4 segments of letters, digits, '.', '_', '-', joined by /, no leading dot")
    suffix = f"_{image_index:02d}" if num_images > 1 else ""
    return f"{NAMED_DIR}/{output_name}{suffix}.{extension}"


def mend(store: ObjectStore, slots: Iterable[NamedSlot]) -> Mended:
    """Make the copies that are missing or are of another picture, and withdraw those that must not be shown.

    For the end of a run, with the names of its manifest: those a killed run left without a copy, those that a changed
    manifest had given to another picture, and what people and gates decided since. Told apart by size, and by time or
    content where sizes are equal; a copy is only withdrawn when its content is that of a hidden picture.

    What cannot be copied is logged and left to the next run. Raises StoreError when nothing can be looked at. Memory
    grows with the pictures (0.5 GB a million), not with what lies in named/.
    """
    rest = iter(slots)
    first = list(islice(rest, FEW + 1))
    if not first:
        return Mended()
    found = _Copies(store, chain(first, rest))
    if len(first) > FEW:
        found.look(store.list(f"{NAMED_DIR}/"))
    else:
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="named") as threads:
            found.look(copy for copy in threads.map(store.head, found.paths()) if copy is not None)
    return found.mend()


class _Copies:
    """The copies of some names: which are there, which have to be made, which have to go."""

    def __init__(self, store: ObjectStore, slots: Iterable[NamedSlot]) -> None:
        self._store = store
        self._stale: dict[str, NamedSlot] = {}  # by path: copies that are missing or of another picture
        self._hidden: dict[str, list[NamedPicture]] = {}  # by path
        self._instead: dict[str, NamedPicture] = {}  # by path
        self._there: dict[str, int] = {}  # path of a hidden picture's copy -> its bytes
        for slot in slots:
            if slot.shown:
                self._stale[slot.shown.named_path] = slot
            if slot.instead:
                self._instead.setdefault(slot.instead.named_path, slot.instead)
            for picture in slot.hidden:
                self._hidden.setdefault(picture.named_path, []).append(picture)

    def paths(self) -> list[str]:
        """Return every path that a copy may have."""
        return [*self._stale, *(path for path in self._hidden if path not in self._stale)]

    def look(self, copies: Iterable[ObjectInfo]) -> None:
        """Take what is there."""
        for copy in copies:
            if copy.path in self._hidden:
                self._there[copy.path] = copy.bytes
            slot = self._stale.get(copy.path)
            if slot is not None and slot.shown is not None and not self._is_stale(slot.shown, slot.exact, copy):
                del self._stale[copy.path]
                self._there.pop(copy.path, None)

    def mend(self) -> Mended:
        """Copy what is stale, then replace or remove what must not be shown and was not copied over."""
        done = Mended()
        _copy(self._store, [slot.shown for slot in self._stale.values() if slot.shown], done)
        for path in self._stale.keys() - done.missing:
            self._there.pop(path, None)
        try:
            hidden = sorted(path for path, size in self._there.items() if self._is_hidden(path, size))
            back = [self._instead[path] for path in hidden if path in self._instead]
            _copy(self._store, back, done)
            shown = {picture.named_path for picture in back} - done.missing
            done.withdrawn = [path for path in hidden if path not in shown]
            if done.withdrawn:
                self._store.delete(done.withdrawn)
        except StoreError as error:
            log.warning("copies that must not be shown are still there, the next run removes them: %s", error)
            done.withdrawn = []
        return done

    def _is_stale(self, picture: NamedPicture, exact: bool, copy: ObjectInfo) -> bool:
        if copy.bytes != picture.image_bytes:
            return True
        if exact or self._looks_hidden(picture):
            return self._sha256(copy.path) != picture.image_sha256
        return copy.modified < picture.finished_at.replace(microsecond=0)  # S3 keeps whole seconds

    def _looks_hidden(self, picture: NamedPicture) -> bool:
        """Whether a hidden picture of its name, of whatever row, has as many bytes."""
        hidden = self._hidden.get(picture.named_path, ())
        return any(one.image_bytes == picture.image_bytes and one.image_path != picture.image_path for one in hidden)

    def _is_hidden(self, path: str, size: int) -> bool:
        """Whether the copy is really one of a hidden picture: it may be anybody's."""
        alike = {picture.image_sha256 for picture in self._hidden[path] if picture.image_bytes == size}
        return bool(alike) and self._sha256(path) in alike

    def _sha256(self, path: str) -> str:
        try:
            return hashlib.sha256(self._store.get(path)).hexdigest()
        except ObjectMissing:
            return ""


def _copy(store: ObjectStore, stale: Iterable[NamedPicture], done: Mended) -> None:
    gone = away_in_a_row = 0
    for picture in stale:
        if away_in_a_row == _TOLD:
            done.missing.add(picture.named_path)
            continue
        try:
            store.copy(picture.image_path, picture.named_path)
        except ObjectMissing:
            gone += 1
            done.missing.add(picture.named_path)
            if gone <= _TOLD:
                log.warning("no copy under %s: its image %s is gone", picture.named_path, picture.image_path)
        except StoreError as error:
            log.warning("no copy under %s, the next run makes it: %s", picture.named_path, error)
            done.missing.add(picture.named_path)
            away_in_a_row += 1
            if away_in_a_row == _TOLD:
                log.warning("the store cannot be reached: the next run makes the other copies too")
        else:
            done.copied += 1
            away_in_a_row = 0
    if gone:
        log.warning("images missing: %d; run verify, then rerun with rerun.missing=true", gone)
