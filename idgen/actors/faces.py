"""The face actor: one shard of the plan in, the same rows with their identities and input images out.

CPU only, no torch. A row with a file that is missing, broken or faceless gets a status and rides along; the others go
on.
"""

import faulthandler
import itertools
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import pyarrow as pa

from idgen import weights
from idgen.actors.facts import FaceSettings, RunFacts
from idgen.actors.left import all_left
from idgen.actors.monitor import Monitor, Orders
from idgen.adapters.variants import needs
from idgen.errors import Code, RowError
from idgen.faces.analysis import FaceAnalyser
from idgen.faces.identity import Identity, InputImage, Request
from idgen.faces.references import ReferenceReader
from idgen.manifest.shards import ShardRef, read_shard
from idgen.recipes import FacePack, Recipe
from idgen.schemas import ANALYSED, IDENTITY
from idgen.sources.fetch import Fetcher

Row = dict[str, Any]
Result = Identity | RowError | None


class FaceActor:
    """Plain class; pipeline.py gives it to Ray Data."""

    def __init__(self, run: RunFacts, settings: FaceSettings, monitor: Monitor) -> None:
        self._run = run
        self._settings = settings
        self._monitor = monitor
        self._store = run.open("faces")
        fetcher = Fetcher(settings.sources, extra_roots=settings.roots)
        self._reader = ReferenceReader(fetcher, self._analyser, settings.sources)
        self._analysers: dict[FacePack, FaceAnalyser] = {}

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
        self._monitor.end_shard("faces", shard.name, counts)
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
        requests = [_request(row, recipe) for row in rows]
        return self._reader.read(requests, self._monitor.stopping, begin=begin, end=end, skip=skip)

    def _analyser(self, pack: FacePack) -> FaceAnalyser:
        """Return the loaded pack; its recipe's identity must hold the same files."""
        if pack not in self._analysers:
            recipe = next(r for r in self._run.recipes.values() if r.face_pack == pack and weights.needs_face_pack(r))
            found = weights.face_pack_identity(recipe, cache=weights.hash_cache())
            weights.check_node(recipe, found, self._run.identities[recipe.name])
            self._analysers[pack] = FaceAnalyser(
                weights.locate(pack.weights),
                pack.det_size_px,
                pack.det_threshold,
                threads=max(1, int(self._settings.faces.num_cpus)),
                config=self._settings.faces,
            )
        return self._analysers[pack]


def _request(row: Row, recipe: Recipe) -> Request:
    columns = ["init_image_uri", *(f"control_{control.name}_uri" for control in recipe.controls)]
    return Request(
        tuple(row["reference_uris"] or ()),
        tuple(row["reference_sha256"] or ()),
        row["face_select"] or recipe.defaults.face_select,
        needs=needs(recipe),
        face_pack=recipe.face_pack,
        ip_adapter_image_uri=row["ip_adapter_image_uri"] or "",
        reference_mask_uri=row["reference_mask_uri"] or "",
        images=tuple(InputImage(name, row[name], row["width"], row["height"]) for name in columns if row[name]),
    )


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
