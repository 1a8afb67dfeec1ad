"""The sampling actor: one shard in, pictures and ledger rows out, one count row back.

A router: it holds one loaded recipe and loads another when a shard of another load group comes. Each finished batch is
published beside the next one's sampling, so that a killed worker costs the batches in hand, not the shard; a repeated
shard leaves out what its own ledger parts hold.
"""

import faulthandler
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import pyarrow as pa

from idgen.actors.face_packs import SMALL_FACES, FacePacks
from idgen.actors.facts import RunFacts, SamplerSettings
from idgen.actors.held_gpus import HeldGpus
from idgen.actors.instruments import MeasuringNetworks
from idgen.actors.loaded_recipe import LoadedRecipe
from idgen.actors.lost_device import end_if_lost
from idgen.actors.monitor import Monitor, Orders
from idgen.actors.picture_facts import with_row
from idgen.actors.pixels import Pixels
from idgen.actors.shard_reports import counts, told
from idgen.actors.shards_left import rows_left
from idgen.checks.gates import Gate, deciding
from idgen.checks.picture import FinishedPicture
from idgen.errors import Code, RowError
from idgen.outputs import ledger
from idgen.outputs.publisher import Publisher
from idgen.recipes.gates import gates_for
from idgen.recipes.recipe import Recipe
from idgen.sampling import batches
from idgen.sampling.batches import BatchSize, OutOfMemory
from idgen.sampling.finishing import Repair, finish
from idgen.sampling.rows import Bucket, SampleRow
from idgen.sampling.sampler import Sampler
from idgen.sampling.tries import Tries
from idgen.schemas import PictureRow

Results = list[FinishedPicture | RowError]
Told = Callable[[list[dict[str, object]]], None]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Tools:
    """What the batches of one shard are made with."""

    sampler: Sampler
    repair: Repair | None
    pixels: Pixels


class _StopAskedError(Exception):
    """The run was asked to stop: what is left of the shard is not begun."""


class SamplerActor:
    """Plain class; pipeline.py gives it to Ray Data. Raises StoreError when the store stays away."""

    def __init__(self, run: RunFacts, settings: SamplerSettings, monitor: Monitor) -> None:
        self._gpus = HeldGpus(settings.sampling.num_gpus)
        self._run = run
        self._settings = settings
        self._monitor = monitor
        self._store = run.open("sampler")
        self._batch_sizes: dict[str, BatchSize] = {}
        self._face_packs = FacePacks(run, SMALL_FACES, settings.sampling.num_cpus, monitor)
        self._networks = MeasuringNetworks(run, settings.sampling.num_cpus)
        self._loaded = LoadedRecipe(run, settings, monitor, self._store)
        self._passes: Counter[str] = Counter()

    def __call__(self, table: pa.Table) -> pa.Table:
        """Sample and publish one shard (ANALYSED, all of one bucket); return its row of COUNTS."""
        started_s = time.monotonic()
        if (left := rows_left(table)) is not None:
            return counts(str(table["shard"][0].as_py()), left, left=left)
        shard = str(table["shard"][0].as_py())
        orders = self._monitor.begin_shard("sample", shard)
        done = self._already_published(shard, orders)
        pixels = Pixels(table)
        rows = [row for row in table.drop_columns(Pixels.COLUMNS).to_pylist() if row["key"] not in done]
        published: list[int] = []  # per batch; two threads append, which is atomic where adding up is not

        def count(parts: list[dict[str, object]]) -> None:
            """Take what a publishing thread has written."""
            published.append(len(parts))
            self._monitor.published([told(part) for part in parts])

        recipe = self._run.recipes[table["recipe"][0].as_py()]
        gates = gates_for(recipe, self._settings.gates)
        tries = Tries(rows, recipe.rank_by, self._monitor.take_extra, deciding(gates))
        publisher = self._publisher(shard, orders.shard_try, count, recipe, gates, tries)
        before = self._work_counts()
        try:
            if not orders.stop:
                self._sample(shard, rows, pixels, orders, publisher, tries)
        except _StopAskedError:
            pass
        finally:
            publisher.close()
        work = self._work_counts()
        work.subtract(before)
        work["extra_pictures"] += tries.extra_pictures
        self._monitor.end_shard("sample", shard, {name: n for name, n in work.items() if n} | self._gpus.counts())
        made = sum(published)
        seconds = time.monotonic() - started_s
        return counts(shard, len(table), published=made, already=len(done), left=len(rows) - made, seconds=seconds)

    def _sample(
        self,
        shard: str,
        rows: list[PictureRow],
        pixels: Pixels,
        orders: Orders,
        publisher: Publisher,
        tries: Tries,
    ) -> None:
        failed = [row for row in rows if row["status"]]
        if failed:
            publisher.submit(failed, [RowError(Code(row["code"]), row["detail"]) for row in failed], "faces", 0.0)
        ready = [row for row in rows if not row["status"]]
        dead = [row for row in ready if row["key"] in orders.given_up]
        if dead:
            publisher.submit(dead, [RowError(Code.WORKER_CRASHED) for _ in dead], "sample", 0.0)
        live = [row for row in ready if row["key"] not in orders.given_up]
        if not live:
            return
        try:
            tools = _Tools(self._loaded.get(live[0]), self._repair(live[0]), pixels)
        except RowError as error:  # the recipe's fault: no row of it can be made, those of others can
            publisher.submit(live, [RowError(error.code, error.detail) for _ in live], "sample", 0.0)
            return

        def sample(batch: Sequence[PictureRow], bucket: Bucket) -> Results:
            """Sample one batch; what batches.run calls."""
            return self._guarded(tools, shard, batch, bucket)

        together = [row for row in live if row["key"] not in orders.suspects]
        alone = [row for row in live if row["key"] in orders.suspects]
        for group, size in ((together, self._batch_size(live[0])), (alone, BatchSize(1))):
            again = partial(tries.take, {row["key"] for row in group}, publisher.check)
            for batch in batches.run(group, Bucket.from_picture(live[0]), size, sample, again):
                tries.submitted(batch.rows)
                publisher.submit(batch.rows, batch.results, "sample", batch.seconds)

    def _guarded(self, tools: _Tools, shard: str, batch: Sequence[PictureRow], bucket: Bucket) -> Results:
        """Sample and finish with attempt marks and a deadline; a bug costs its own row, never the batch."""
        if self._monitor.begin("sample", shard, [row["key"] for row in batch]):
            raise _StopAskedError
        faulthandler.dump_traceback_later(self._settings.sampling.batch_deadline_s, exit=True)
        try:
            return [*self._made(tools, batch, bucket)]
        except OutOfMemory:
            raise
        except Exception as error:
            end_if_lost(error, log)
            log.exception("sampling failed for %s", [row["key"] for row in batch])
            if len(batch) == 1:
                return [error if isinstance(error, RowError) else RowError(Code.INTERNAL, type(error).__name__)]
        finally:
            faulthandler.cancel_dump_traceback_later()
            self._monitor.end("sample", shard)
        return [result for row in batch for result in self._guarded(tools, shard, [row], bucket)]

    def _made(self, tools: _Tools, batch: Sequence[PictureRow], bucket: Bucket) -> list[FinishedPicture]:
        """Sample and finish one batch."""
        asked = [SampleRow.from_picture(row | tools.pixels.of(row)) for row in batch]
        pictures = tools.sampler.sample(asked, bucket)
        wanted = [row["target_keypoints"] for row in batch]
        done = finish(pictures, asked, bucket, wanted, tools.repair, tools.sampler.warnings(asked, bucket))
        recipe, checks = self._run.recipes[batch[0]["recipe"]], self._run.checks
        finished = [with_row(one, row, told, recipe, checks) for one, row, told in zip(done, batch, asked, strict=True)]
        results = [one.facts.face_pass.result for one in finished if one.facts.face_pass is not None]
        passes = sum(result in ("done", "failed") for result in results)
        self._passes += Counter(face_passes=passes, face_pass_calls=min(passes, 1))
        return finished

    def _repair(self, row: PictureRow) -> Repair | None:
        """Return what the face pass of the row's shard needs; the face pack is loaded for no other."""
        recipe = self._run.recipes[row["recipe"]]
        if not Bucket.from_picture(row).face_pass or recipe.face_pass is None:
            return None
        from idgen.sampling.face_pass import FaceRepair  # brings the libraries that find faces

        return FaceRepair(self._loaded.get(row), self._face_packs.get(recipe.face_pack), recipe.face_pass)

    def _batch_size(self, row: PictureRow) -> BatchSize:
        rows = self._settings.sampling.batch_size or self._run.recipes[row["recipe"]].batch_size
        return self._batch_sizes.setdefault(row["load_group"], BatchSize(rows))

    def _already_published(self, shard: str, orders: Orders) -> set[str]:
        return ledger.shard_keys(self._store, self._run.run_id, shard) if orders.shard_try else set()

    def _publisher(
        self, shard: str, shard_try: int, published: Told, recipe: Recipe, gates: Mapping[str, Gate], tries: Tries
    ) -> Publisher:
        return Publisher(
            self._store,
            run_id=self._run.run_id,
            shard=shard,
            shard_try=shard_try,
            images=self._settings.images,
            signature_parameters=self._run.signature_parameters,
            published=published,
            gates=gates,
            choose=tries.judged,
            instruments=self._networks.of(recipe, self._face_packs),
            rejected=self._settings.rejected,
            thumbnail_px=self._settings.thumbnail_px,
        )

    def _work_counts(self) -> Counter[str]:
        return self._loaded.work_counts() + self._passes
