"""The shop's own file names: named/<output_name>.<ext> is a copy of an image, made only after its ledger row.

A crash between the two leaves the old copy or none; `mend` makes the copies that are missing.
"""

import logging
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, compress, islice

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
    """An ok picture that has a name: where the copy should be, and of what."""

    named_path: str
    image_path: str
    image_bytes: int
    finished_at: datetime
    """Of the ledger row."""


def named_path(output_name: str, image_index: int, num_images: int, extension: str) -> str:
    """Return the copy's path; `_00` and so on is added when the row asks for several images.

    Raises ValueError unless `output_name` is one to four segments of [A-Za-z0-9._-]{1,64} without a leading dot.
    """
    segments = output_name.split("/")
    if len(segments) > MAX_SEGMENTS or not all(_SEGMENT.fullmatch(segment) for segment in segments):
        raise ValueError("output_name: up to 4 segments of letters, digits, '.', '_', '-', joined by /, no leading dot")
    suffix = f"_{image_index:02d}" if num_images > 1 else ""
    return f"{NAMED_DIR}/{output_name}{suffix}.{extension}"


def mend(store: ObjectStore, pictures: Iterable[NamedPicture]) -> int:
    """Make the copies that are missing or are of another picture; return how many.

    For the end of a run, with its ok and skipped pictures: those a killed run left without a copy, and those whose
    name a changed manifest had given to another picture. Told apart by size, and by time where sizes are equal.

    What cannot be copied is logged and left to the next run. Raises StoreError when nothing can be looked at. Memory
    grows with the pictures (0.4 GB a million), not with what lies in named/.
    """
    rest = iter(pictures)
    first = list(islice(rest, FEW + 1))
    if not first:
        return 0
    if len(first) > FEW:
        return _copy(store, _stale_of_many(store, chain(first, rest)))
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="named") as threads:
        stale = list(threads.map(lambda picture: _is_stale(picture, store.head(picture.named_path)), first))
    return _copy(store, compress(first, stale))


def _is_stale(picture: NamedPicture, copy: ObjectInfo | None) -> bool:
    if copy is None or copy.bytes != picture.image_bytes:
        return True
    return copy.modified < picture.finished_at.replace(microsecond=0)  # S3 keeps whole seconds


def _stale_of_many(store: ObjectStore, pictures: Iterable[NamedPicture]) -> Iterable[NamedPicture]:
    wanted = {picture.named_path: picture for picture in pictures}
    for copy in store.list(f"{NAMED_DIR}/"):
        picture = wanted.get(copy.path)
        if picture is not None and not _is_stale(picture, copy):
            del wanted[copy.path]
    return wanted.values()


def _copy(store: ObjectStore, stale: Iterable[NamedPicture]) -> int:
    made = gone = away_in_a_row = 0
    for picture in stale:
        try:
            store.copy(picture.image_path, picture.named_path)
        except ObjectMissing:
            gone += 1
            if gone <= _TOLD:
                log.warning("no copy under %s: its image %s is gone", picture.named_path, picture.image_path)
        except StoreError as error:
            log.warning("no copy under %s, the next run makes it: %s", picture.named_path, error)
            away_in_a_row += 1
            if away_in_a_row == _TOLD:
                log.warning("the store cannot be reached: the next run makes the other copies too")
                break
        else:
            made += 1
            away_in_a_row = 0
    if gone:
        log.warning("images missing: %d; run verify, then rerun with rerun.missing=true", gone)
    return made
