"""The face actor: one shard of the plan in, the same rows with their identities and input images out.

On the CPU, or with onnxruntime on a part of a GPU; no torch. A row with a file that is missing, broken or faceless gets
a status and rides along; the others go on.
"""

import faulthandler
import itertools
from collections.abc import Sequence
from dataclasses import fields, replace

import pyarrow as pa

from idgen.actors.face_packs import FacePacks
from idgen.actors.facts import FaceSettings, RunFacts, device_of
from idgen.actors.held_gpus import HeldGpus
from idgen.actors.instruments import MeasuringNetworks
from idgen.actors.monitor import Monitor, Orders
from idgen.actors.shards_left import all_left
from idgen.columns import INIT_IMAGE, LOOK_IMAGE, MAP_OF, MASK_IMAGE, POSE_IMAGE
from idgen.errors import Code, RowError
from idgen.faces.identity import Identity, InputImage, Request
from idgen.faces.keypoints import FaceTarget
from idgen.faces.references import ReferenceReader
from idgen.manifest.shards import ShardRef, read_shard
from idgen.recipes.recipe import Recipe
from idgen.recipes.variants import needs
from idgen.schemas import ANALYSED, IDENTITY
from idgen.sources.fetch import Fetcher
from idgen.values import Cell

Row = dict[str, Cell]
Result = Identity | RowError | None


class FaceActor:
    """Plain class; pipeline.py gives it to Ray Data."""

    def __init__(self, run: RunFacts, settings: FaceSettings, monitor: Monitor) -> None:
        self._gpus = HeldGpus(settings.faces.num_gpus)
        self._run = run
        self._settings = settings
        self._monitor = monitor
        self._store = run.open("faces")
        fetcher = Fetcher(settings.sources, extra_roots=settings.roots)
        device = device_of(settings.faces.device, settings.faces.num_gpus)
        packs = FacePacks(run, settings.faces, settings.faces.num_cpus, monitor, device=device)
        networks = MeasuringNetworks(run, settings.faces.num_cpus)
        judge = networks.judge if networks.has_judge else None
        self._reader = ReferenceReader(fetcher, packs.get, settings.sources, judge)

    def __call__(self, item: pa.Table) -> pa.Table:
        """Read the shard that `item` (one row: a ShardRef) names and return its rows as ANALYSED."""
        shard = ShardRef(**item.select([field.name for field in fields(ShardRef)]).to_pylist()[0])
        orders = self._monitor.begin_shard("faces", shard.name)
        if orders.stop:
            return all_left(shard)
        rows = read_shard(self._store, shard).to_pylist()
        recipe = self._run.recipes[rows[0]["recipe"]]
        analyses, fetches = self._reader.analyses, self._reader.fetches
        results = self._read(recipe, shard.name, rows, orders)
        counts = {"face_analyses": self._reader.analyses - analyses, "fetches": self._reader.fetches - fetches}
        self._monitor.end_shard("faces", shard.name, counts | self._gpus.counts())
        return _analysed(shard.name, rows, results)

    def _read(self, recipe: Recipe, shard: str, rows: Sequence[Row], orders: Orders) -> list[Result]:
        """One result per row; None for all that a stop came before."""

        def begin(digest: str) -> None:
            """Mark one reference as being tried, and give it a deadline."""
            self._monitor.begin("faces", shard, [digest])
            faulthandler.dump_traceback_later(self._settings.faces.batch_deadline_s, exit=True)

        def end(_digest: str) -> None:
            """Take mark and deadline back."""
            faulthandler.cancel_dump_traceback_later()
            self._monitor.end("faces", shard)

        skip = {digest: RowError(Code.WORKER_CRASHED, "reading the file") for digest in orders.given_up}
        strict = self._settings.faces.references_differ == "refuse"
        bound = self._run.checks.likeness.same_person_cosine
        requests = [
            replace(_request(row, recipe), refuse_strangers=strict, judge_same_person_cosine=bound) for row in rows
        ]
        return self._reader.read(requests, self._monitor.stopping, begin=begin, end=end, skip=skip)


def _request(row: Row, recipe: Recipe) -> Request:
    controls = [control.name for control in recipe.controls]
    return Request(
        tuple(row["reference_uris"] or ()),
        tuple(row["reference_sha256"] or ()),
        row["face_select"] or recipe.defaults.face_select,
        needs=needs(recipe),
        face_pack=recipe.face_pack,
        ip_adapter_image_uri=row[LOOK_IMAGE] or "",
        reference_mask_uri=row["reference_mask_uri"] or "",
        images=_images(row, controls),
        face_pose_uri=row[POSE_IMAGE] or "",
        face_target=_face_target(row) if "identity" in controls else None,
        size=(row["width"], row["height"]),
    )


def _images(row: Row, controls: Sequence[str]) -> tuple[InputImage, ...]:
    """The row's other pictures, a mask after what it is a mask of; without one of its own that one's transparency."""
    size = (row["width"], row["height"])
    found = [InputImage(INIT_IMAGE, row[INIT_IMAGE], *size)] if row[INIT_IMAGE] else []
    if row[INIT_IMAGE] and "inpaint" in controls:
        uri = row[MASK_IMAGE]
        found.append(InputImage(MASK_IMAGE, uri or row[INIT_IMAGE], *size, row["mask_mode"] if uri else "alpha"))
    maps = [MAP_OF[name] for name in controls if name in MAP_OF]
    return (*found, *(InputImage(column, row[column], *size) for column in maps if row[column]))


def _face_target(row: Row) -> FaceTarget:
    return FaceTarget(row["face_fit"] or "cover", row["face_box"], row["face_keypoints"], row["face_angle_deg"])


def _analysed(shard: str, rows: Sequence[Row], results: Sequence[Result]) -> pa.Table:
    out = []
    for row, result in itertools.zip_longest(rows, results):
        found: Row = {"shard": shard, **row}
        if isinstance(result, RowError):
            found |= {"status": result.status, "code": result.code, "detail": result.detail, "stage": "faces"}
        elif result is not None:
            found |= {field.name: getattr(result, field.name) for field in IDENTITY}
        out.append(found)
    return pa.Table.from_pylist(out, schema=ANALYSED)
