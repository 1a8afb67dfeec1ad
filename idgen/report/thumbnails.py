"""What the gallery shows in small: each picture, and each distinct photo, mask or map that one was made of.

The publishers made those of pictures in the run; here only what is missing is made, by a few threads. Photos are
twice as wide: they are compared with pictures. A thumbnail is an extra: whatever goes wrong with one, it is left out
and the gallery shows the picture itself or a placeholder. Sources that may not be fetched are refused by the fetcher.
"""

import hashlib
import io
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from idgen.config import SourcesConfig
from idgen.errors import Code, RowError
from idgen.outputs.thumbnail import CONTENT_TYPE, ROOT, encode_thumbnail, thumbnail_path
from idgen.report.inputs import ground_of, inputs_of
from idgen.report.rows import run_folder
from idgen.sources.decoding_processes import DEADLINE_S, DecodingProcesses
from idgen.sources.fetch import Fetcher
from idgen.sources.images import Ground
from idgen.stores.protocol import ObjectStore

THREADS = 6  # bounds memory: each holds at most one decoded picture

_log = logging.getLogger(__name__)
_HEADS = 2_000  # of more pictures, one listing of all thumbnails is cheaper than asking for each
_NEVER_FETCHED = frozenset(
    {Code.URI_FORBIDDEN, Code.REFERENCE_MISSING, Code.FETCH_DENIED, Code.FETCH_FAILED, Code.FETCH_TIMEOUT}
    | {Code.TOO_MANY_BYTES, Code.IMAGE_FORMAT, Code.IMAGE_CORRUPT, Code.IMAGE_TOO_LARGE, Code.WORKER_CRASHED}
)
"""Rows with these codes showed that a picture cannot be had, or that it ends who decodes it."""
_PHOTO_SIDE_PX = 1024
"""Photos are decoded for thumbnails only."""


ReadPhoto = Callable[[str, Ground], NDArray[np.uint8]]
"""From a URI, and what shows where the picture is transparent, to upright sRGB pixels [H, W, 3]; may raise anything."""

Addresses = Mapping[str, Mapping[str, Sequence[str]]]
"""Key -> column (reference_uris or one of columns.IMAGES) -> full URIs; with signatures, so never written anywhere."""


@dataclass(frozen=True, slots=True)
class Job:
    """One thumbnail: where it goes in the store, how wide it may be and how its pixels are had."""

    path: str
    side_px: int
    load: Callable[[], Image.Image]


@contextmanager
def photo_reader(
    sources: SourcesConfig, extra_roots: Sequence[str] = (), *, deadline_s: float = DEADLINE_S
) -> Iterator[ReadPhoto]:
    """Yield a ReadPhoto that fetches and decodes within the run's limits, except that small photos are shown too.

    `extra_roots`: further local folders that may be read (the manifest's own). Photos are decoded in processes of their
    own, which end with the block, and come reduced. The ReadPhoto raises RowError when a photo may not be had, is none
    or takes longer than `deadline_s`.
    """
    fetcher = Fetcher(sources, extra_roots=extra_roots)
    limits = replace(sources, min_side_px=1)
    with DecodingProcesses(limits, _PHOTO_SIDE_PX, deadline_s=deadline_s) as processes:

        def read(uri: str, ground: Ground) -> NDArray[np.uint8]:
            """Return the photo as uint8 [h, w, 3]."""
            return processes.decode(fetcher.fetch(uri), ground)

        yield read


def photo_name(redacted_uri: str, ground: Ground = "white") -> str:
    """Return the path, inside the report folder, of what a row was made of in small: the same for the same photo."""
    seen = redacted_uri if ground == "white" else f"{ground} {redacted_uri}"
    return f"refs/{hashlib.sha256(seen.encode()).hexdigest()[:32]}.webp"


def make_thumbnails(
    store: ObjectStore,
    run_id: str,
    table: pa.Table,
    *,
    side_px: int,
    references: ReadPhoto | None = None,
    addresses: Addresses | None = None,
    deadline_s: float = 600.0,
    stopping: Callable[[], bool] = lambda: False,
) -> set[str]:
    """Make what is missing; return all that exist: thumbs/… as paths in the store, refs/… inside the report folder.

    `table` has the columns of rows.COLUMNS. `references` None leaves out all that the rows were made of;
    `addresses` gives the full URIs where the redacted ones of the table do not open. After `deadline_s`, or once
    `stopping`, no more are begun.
    """
    folder = f"{run_folder(run_id)}/report/"
    jobs = {job.path: job for job in _result_jobs(store, table, side_px)}
    if references is not None:
        jobs |= {job.path: job for job in _photo_jobs(references, table, addresses or {}, folder, 2 * side_px)}
    there = _there(store, folder, jobs)
    missing = [job for path, job in jobs.items() if path not in there]
    end_s = time.monotonic() + deadline_s
    with ThreadPoolExecutor(THREADS, thread_name_prefix="thumbnail") as pool:
        faults = list(pool.map(lambda job: _make(store, job, end_s, stopping), missing))
    if unmade := Counter(filter(None, faults)):
        reasons = ", ".join(f"{count} {reason}" for reason, count in unmade.most_common())
        _log.warning("report: %d of %d thumbnails could not be made: %s", unmade.total(), len(missing), reasons)
    made = {job.path for job, fault in zip(missing, faults, strict=True) if not fault}
    return {path.removeprefix(folder) for path in (there & jobs.keys()) | made}


def _there(store: ObjectStore, folder: str, jobs: Mapping[str, Job]) -> set[str]:
    """Thumbnails that exist: those of pictures one by one, or all of the catalogue's when there are many."""
    found = {info.path for info in store.list(f"{folder}refs/")}
    results = [path for path in jobs if not path.startswith(folder)]
    if len(results) > _HEADS:
        return found | {info.path for info in store.list(f"{ROOT}/")}
    with ThreadPoolExecutor(THREADS, thread_name_prefix="thumbnail") as pool:
        heads = pool.map(store.head, results)
        return found | {path for path, head in zip(results, heads, strict=True) if head}


def _result_jobs(store: ObjectStore, table: pa.Table, side_px: int) -> Iterator[Job]:
    """Of the run's pictures, and of those that stood in their places before."""
    pictures = (_distinct(table, *names) for names in (("key", "image_path"), ("previous_key", "previous_image_path")))
    for key, path in chain.from_iterable(pictures):
        if path and thumbnail_path(key):
            yield Job(thumbnail_path(key), side_px, lambda path=path: _open(store.get(path)))  # type: ignore[misc]


def _photo_jobs(photos: ReadPhoto, table: pa.Table, full: Addresses, folder: str, side_px: int) -> Iterator[Job]:
    for row in table.select(["key", "code", "detail", "reference_uris", "settings"]).to_pylist():
        asked = {"reference_uris": row["reference_uris"] or []}
        asked |= {column: [uri] for column, uri in inputs_of(row["settings"]).items()}
        if row["code"] in _NEVER_FETCHED:
            column = row["detail"].partition(":")[0]  # faces/file_tasks.py puts it in front, but not of references
            del asked[column if column in asked else "reference_uris"]
        for column, shown in asked.items():
            ground, uris = ground_of(column), full.get(row["key"], {}).get(column, shown)
            for redacted, uri in zip(shown, uris if len(uris) == len(shown) else shown, strict=True):
                load = partial(_photo, photos, uri, ground)
                yield Job(folder + photo_name(redacted, ground), side_px, load)


def _photo(photos: ReadPhoto, uri: str, ground: Ground) -> Image.Image:
    return Image.fromarray(photos(uri, ground))


def _distinct(table: pa.Table, *names: str) -> Iterable[tuple[str, ...]]:
    return dict.fromkeys(zip(*(table.column(name).to_pylist() for name in names), strict=True))


def _open(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP")) as image:
        image.draft("RGB", (1024, 1024))  # JPEG only: decode at a fraction of the size
        image.load()
        return image


def _make(store: ObjectStore, job: Job, end_s: float, stopping: Callable[[], bool]) -> str:
    """Write one thumbnail; return "" or, in a word, why there is none."""
    if time.monotonic() > end_s or stopping():
        return "out of time"
    try:
        store.put(job.path, encode_thumbnail(job.load(), job.side_px), content_type=CONTENT_TYPE)
    except Exception as error:  # an extra must never end a run; the type says enough, a message could hold a URI
        return error.code if isinstance(error, RowError) else type(error).__name__
    return ""
