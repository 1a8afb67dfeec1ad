"""Publishes finished batches beside the sampling: checks, encoding, image objects, ledger part, named copies.

A crash between two steps costs at most work done twice: an image without a ledger row is harmless, a ledger row
without its image cannot be.
"""

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Required, TypedDict, Unpack

from idgen.checks.gates import Gate
from idgen.checks.instruments import NO_INSTRUMENTS, Instruments
from idgen.checks.looking import findings
from idgen.checks.picture import FinishedPicture, Pixels
from idgen.checks.protocol import Check
from idgen.checks.table import CHECKS
from idgen.config import ImagesConfig
from idgen.errors import Code, RowError, Status
from idgen.outputs.chosen import Choose, Chosen
from idgen.outputs.encode import encode_image
from idgen.outputs.ledger import write_part
from idgen.outputs.ledger_row import StoredImage, asked_columns, ledger_row
from idgen.outputs.named import named_path
from idgen.outputs.provenance import xmp_packet
from idgen.outputs.publishing import may_copy_at_once
from idgen.outputs.stored_images import put_image
from idgen.outputs.thumbnail import write_thumbnail
from idgen.schemas import PictureRow
from idgen.stores.protocol import ObjectStore, StoreError

Row = dict[str, object]
"""Of the ledger."""

PART_PATIENCE_S = 300.0
"""How long the store may be away before a run ends over it: the retries inside one PUT last seconds."""
_LONGEST_PAUSE_S = 30.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Batch:
    sequence: int
    pictures: Sequence[PictureRow]
    images: Sequence[FinishedPicture | RowError]
    stage: str
    seconds: float


class _Outcome(TypedDict, total=False):
    status: Required[Status]
    stage: Required[str]
    code: str
    detail: str
    image: StoredImage


class Publisher:
    """Publishes the batches of one try of one shard in `images.publishers` threads.

    At most twice as many batches are in hand, so memory is bounded and a slow store slows the sampler. Use from one
    thread; `published` is called from the publishing ones, with LEDGER rows that are in the store.
    """

    def __init__(
        self,
        store: ObjectStore,
        *,
        run_id: str,
        shard: str,
        shard_try: int,
        images: ImagesConfig,
        signature_parameters: Sequence[str],
        published: Callable[[list[Row]], None],
        part_patience_s: float = PART_PATIENCE_S,
        checks: Sequence[Check] = CHECKS,
        gates: Mapping[str, Gate] | None = None,
        choose: Choose = Chosen,
        instruments: Instruments = NO_INSTRUMENTS,
        rejected: Collection[str] = (),
        thumbnail_px: int = 0,
    ) -> None:
        """`rejected` are keys that people rejected: when they are made again, their names do not show them."""
        self._store = store
        self._run_id = run_id
        self._shard = shard
        self._shard_try = shard_try
        self._signature_parameters = signature_parameters
        self._config = images
        self._published = published
        self._part_patience_s = part_patience_s
        self._checks = checks
        self._gates = gates
        self._choose = choose
        self._instruments = instruments
        self._rejected = rejected
        self._thumbnail_px = thumbnail_px
        self._threads = ThreadPoolExecutor(images.publishers, thread_name_prefix=f"publish-{shard}")
        self._room = threading.BoundedSemaphore(2 * images.publishers)
        self._sequence = 0
        self._failure: BaseException | None = None

    def submit(
        self, pictures: Sequence[PictureRow], images: Sequence[FinishedPicture | RowError], stage: str, seconds: float
    ) -> None:
        """Take a finished batch: ANALYSED rows, and for each its picture or why there is none.

        `stage` is where a RowError came from, `seconds` the whole batch's time. Blocks while too many batches are in
        hand. Raises what an earlier batch broke on (StoreError when its ledger part was not written for minutes: its
        pictures are not done).
        """
        self._raise_failure()
        batch = _Batch(self._sequence, pictures, images, stage, seconds)
        self._room.acquire()
        self._sequence += 1
        self._threads.submit(self._run, batch)

    def close(self) -> None:
        """Wait until everything that was taken is published; raise what a batch broke on."""
        self._threads.shutdown(wait=True)
        self._raise_failure()

    def check(self) -> None:
        """Raise what a batch broke on, if one did: nothing more is published then."""
        self._raise_failure()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _run(self, batch: _Batch) -> None:
        try:
            if self._failure is None:  # else the store is away, and each batch in hand would wait for it in turn
                self._publish(batch)
        except BaseException as error:
            self._failure = self._failure or error
        finally:
            self._room.release()

    def _publish(self, batch: _Batch) -> None:
        published = [self._publish_image(batch, chosen) for chosen in self._chosen(batch)]
        if not published:
            return
        rows = [row for row, _ in published]
        self._write_part(batch.sequence, rows)
        for row, copy_to in published:
            if copy_to:
                self._copy(str(row["image_path"]), copy_to)
        self._published(rows)

    def _write_part(self, sequence: int, rows: list[Row]) -> None:
        """Write the batch's ledger part, again and again for `part_patience_s`. Raises the last StoreError."""
        ends_at = time.monotonic() + self._part_patience_s
        pause_s = 1.0
        while True:
            try:
                write_part(self._store, self._run_id, self._shard, self._shard_try, sequence, rows)
                return
            except StoreError as error:
                left_s = ends_at - time.monotonic()
                if left_s <= 0 or self._failure is not None:
                    raise
                log.warning("ledger part %s-%d not written yet, trying again: %s", self._shard, sequence, error)
                time.sleep(min(pause_s, left_s))
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _chosen(self, batch: _Batch) -> list[Chosen]:
        """Have all pictures of a batch checked, then chosen among their tries; those made again are left out.

        What ends the run while they are checked ends it before anything of the batch is stored.
        """
        made = [FinishedPicture(result) if isinstance(result, RowError) else result for result in batch.images]
        found = [findings(one, self._checks, self._gates, self._instruments) for one in made]
        seconds = batch.seconds / len(batch.pictures)
        chosen = [self._choose(*each, seconds) for each in zip(batch.pictures, made, found, strict=True)]
        return [one for one in chosen if one]

    def _publish_image(self, batch: _Batch, chosen: Chosen) -> tuple[Row, str]:
        """Store the image; return the picture's ledger row and where its named copy goes, "" for nowhere."""
        pixels = chosen.finished.pixels
        if isinstance(pixels, RowError):
            return self._failed(batch, chosen, pixels, batch.stage), ""
        try:
            image, copy_to, warning = self._store_image(chosen.picture, pixels)
        except RowError as error:
            return self._failed(batch, chosen, error, "publish"), ""
        except StoreError as error:
            return self._failed(batch, chosen, RowError(Code.STORE_FAILED, str(error)), "publish"), ""
        except Exception as error:
            log.exception("cannot publish %s", chosen.picture["key"])
            return self._failed(batch, chosen, RowError(Code.INTERNAL, type(error).__name__), "publish"), ""
        if warning:
            found = replace(chosen.found, warnings=(*chosen.found.warnings, warning))
            chosen = replace(chosen, found=found)
        row = self._row(batch, chosen, status="ok", stage="publish", image=image)
        shown = may_copy_at_once(self._config.publish, chosen.found.verdict) and row["key"] not in self._rejected
        return row, copy_to if shown else ""

    def _store_image(self, picture: PictureRow, pixels: Pixels) -> tuple[StoredImage, str, str]:
        """Encode and write one image; return it, where its named copy would be, a warning. RowError, StoreError."""
        image_format = picture.get("output_format") or self._config.format
        asked = asked_columns(picture, self._signature_parameters)
        provenance = xmp_packet(asked, self._run_id, self._config.provenance)
        encoded = encode_image(pixels, image_format, self._config.quality, provenance)
        copy_to = _copy_path(picture, encoded.extension)
        path = f"images/{picture['key'][:2]}/{picture['key']}.{encoded.extension}"
        data, warning = put_image(self._store, path, encoded)
        write_thumbnail(self._store, picture["key"], pixels, self._thumbnail_px, replaced=bool(warning))
        digest = hashlib.sha256(data).hexdigest()
        height, width = pixels.shape[:2]
        return StoredImage(path, digest, len(data), image_format, width, height), copy_to, warning

    def _copy(self, image_path: str, copy_to: str) -> None:
        """Make the named copy. The picture is done without it: the end of the run mends what fails here."""
        try:
            self._store.copy(image_path, copy_to)
        except StoreError as error:
            log.warning("no copy under %s yet: %s", copy_to, error)

    def _failed(self, batch: _Batch, chosen: Chosen, error: RowError, stage: str) -> Row:
        return self._row(batch, chosen, status=error.status, stage=stage, code=error.code, detail=error.detail)

    def _row(self, batch: _Batch, chosen: Chosen, **outcome: Unpack[_Outcome]) -> Row:
        sampled = batch.stage == "sample" and batch.seconds > 0
        return ledger_row(
            chosen.picture,
            findings=chosen.found,
            tries_made=chosen.tries_made,
            run_id=self._run_id,
            shard=self._shard,
            shard_try=self._shard_try,
            signature_parameters=self._signature_parameters,
            seconds=chosen.seconds if sampled else None,
            batch_rows=len(batch.pictures) if sampled else None,
            **outcome,
        )


def _copy_path(picture: PictureRow, extension: str) -> str:
    name = picture.get("output_name")
    if not name:
        return ""
    try:
        return named_path(name, picture["image_index"], picture.get("num_images") or 1, extension)
    except ValueError as error:
        raise RowError(Code.BAD_VALUE, str(error)) from error
