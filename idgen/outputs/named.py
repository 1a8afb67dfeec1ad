"""The shop's own file names: named/<output_name>.<ext> is a copy of an image, made only after its ledger row.

A crash between the two leaves the old copy or none; `mend` makes the copies that are missing.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from idgen.stores.protocol import ObjectStore

NAMED_DIR = "named"
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
    """Make the copies that are missing or are of another picture; return how many. Raises StoreError.

    For the end of a run, with its ok and skipped pictures: those a killed run left without a copy, and those whose
    name a changed manifest had given to another picture. Told apart by size, and by time where sizes are equal.
    """
    there = {found.path: found for found in store.list(f"{NAMED_DIR}/")}
    made = 0
    for picture in pictures:
        copy = there.get(picture.named_path)
        # S3 keeps whole seconds
        old = copy is not None and copy.modified < picture.finished_at.replace(microsecond=0)
        if copy is None or copy.bytes != picture.image_bytes or old:
            store.copy(picture.image_path, picture.named_path)
            made += 1
    return made
