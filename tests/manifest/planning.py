"""A planner's desk: real files, a real store, a ledger written as the sampling actors write it."""

import csv
import hashlib
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from idgen.checks.looking import NOTHING_FOUND, Findings
from idgen.columns import BY_NAME
from idgen.config import Config, PlannerConfig, RunConfig, SelectConfig
from idgen.manifest.balance import Balance
from idgen.manifest.planner import PlanSummary, plan, plan_retries
from idgen.manifest.results import write_results
from idgen.manifest.shards import ShardRef, read_shard, shards
from idgen.manifest.verdicts import Force
from idgen.outputs.ledger import ledger_files, write_part
from idgen.outputs.ledger_row import StoredImage, ledger_row
from idgen.outputs.run_folder import RunFolder
from idgen.recipes.recipe import AdapterSpec, Recipe
from idgen.stores.local import LocalStore
from idgen.stores.protocol import ObjectStore

RECIPE = Recipe(
    name="faceid",
    adapters=[AdapterSpec(name="faceid")],
    columns=["ip_adapter_scale", "ip_adapter_scales", "lora_scale", "face_box", "strength", "paste_back"],
    max_references=3,
)
OTHER = replace(RECIPE, name="other", prompt_required=False, batch_size=4)
RECIPES = {"faceid": RECIPE, "other": OTHER}
HASHES = {"faceid": "aa" * 16, "other": "bb" * 16}
SCHEDULERS = ("ddim", "euler")

Row = dict[str, Any]
Outcome = Callable[[Row], str]
"""From a picture to "ok" or a code."""


def row(number: int, **changes: Any) -> Row:
    """A manifest row that can be made; null columns are left out."""
    made = {"row_id": f"row-{number}", "reference_uri": f"s3://photos/{number % 3}.jpg", "prompt": f"look {number}"}
    return {name: value for name, value in (made | changes).items() if value is not None}


def write_manifest(path: Path, rows: Sequence[Row]) -> str:
    """Write rows as what the ending says; Parquet with the schema's types where known."""
    names = list(dict.fromkeys(name for item in rows for name in item))
    if path.suffix == ".parquet":
        fields = [
            pa.field(name, BY_NAME[name].type) if name in BY_NAME else pa.array([item.get(name) for item in rows]).type
            for name in names
        ]
        fields = [
            item if isinstance(item, pa.Field) else pa.field(name, item)
            for name, item in zip(names, fields, strict=True)
        ]
        pq.write_table(pa.Table.from_pylist(list(rows), schema=pa.schema(fields)), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(item) + "\n" for item in rows))
    else:
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(names)
            for item in rows:
                cells = [item.get(name) for name in names]
                writer.writerow([json.dumps(c) if isinstance(c, list | dict) else c for c in cells])
    return str(path)


class Desk:
    """Plans manifests against one store, run after run."""

    def __init__(self, folder: Path, store: ObjectStore | None = None) -> None:
        self.folder = folder
        self.store: ObjectStore = store or LocalStore(folder / "out")
        self.numbers = itertools.count(1)
        self.run_id = self.manifest = ""
        self.name = "manifest"
        """Of the manifests, which also have a date, another one each run."""
        self.config = Config(recipe="faceid", planner=PlannerConfig(memory_mb=256))
        self.recipes: Mapping[str, Recipe] = RECIPES
        self.hashes: Mapping[str, str] = HASHES
        self.part = ""
        self.more: dict[str, Any] = {}
        """Further arguments of `plan`."""
        self.pixels: Callable[[Row], bytes] | None = None
        """What is stored as a picture's image; without it nothing is."""

    @property
    def scratch(self) -> Path:
        return self.folder / "scratch" / self.run_id

    def plan(
        self,
        rows: Sequence[Row] | str,
        *,
        ending: str = "parquet",
        force: Force | None = None,
        run: RunConfig | None = None,
        **select: Any,
    ) -> PlanSummary:
        """Plan a new run of these rows, or of the manifest at this address."""
        number = next(self.numbers)
        self.run_id = f"run-{number}"
        name = f"{self.name}-{2000 + number // 300}-{1 + number // 25 % 12:02d}-{1 + number % 25:02d}.{ending}"
        self.manifest = rows if isinstance(rows, str) else write_manifest(self.folder / name, rows)
        RunFolder(self.store, self.run_id).write_config({"config": {"manifest": self.manifest}})
        self.config = replace(self.config, select=SelectConfig(**select), run=run or RunConfig())
        summary = plan(
            self.manifest, self.recipes, self.hashes, self.config, self.store, self.run_id,
            ledger_files=ledger_files(self.store), schedulers=SCHEDULERS, scratch=self.scratch, force=force,
            **self.more,
        )  # fmt: skip
        self.part = summary.part
        return summary

    def refs(self) -> list[ShardRef]:
        return shards(self.store, self.run_id, self.part)

    def pictures(self) -> list[Row]:
        """What the last plan will make, in order."""
        return [item for ref in self.refs() for item in read_shard(self.store, ref).to_pylist()]

    def keys(self) -> set[str]:
        return {picture["key"] for picture in self.pictures()}

    def make(
        self,
        outcome: Outcome = lambda picture: "ok",
        found: Callable[[Row], Findings] = lambda picture: NOTHING_FOUND,
        seed: Callable[[Row], int] = lambda picture: picture["seed"],
    ) -> None:
        """Write the ledger rows of the last plan's shards, and of what it refused."""
        for ref in self.refs():
            rows = [
                self._told(ref, {**picture, "seed": seed(picture)}, outcome(picture), found(picture))
                for picture in read_shard(self.store, ref).to_pylist()
            ]
            if rows := [item for item in rows if item]:
                write_part(self.store, self.run_id, ref.name, 1, 0, rows)
        filesystem, root = self.store.filesystem()
        refused = pq.read_table(f"{root}/runs/{self.run_id}/plan/refused.parquet", filesystem=filesystem).to_pylist()
        if refused and not self.part:
            write_part(self.store, self.run_id, "plan", 0, 0, refused)

    def _told(self, ref: ShardRef, picture: Row, outcome: str, found: Findings = NOTHING_FOUND) -> Row | None:
        if outcome == "left":
            return None
        key = picture["key"]
        image = StoredImage(f"images/{key[:2]}/{key}.png", "00" * 32, 100, "png", 512, 768)
        fine = outcome == "ok"
        if fine and self.pixels:
            data = self.pixels(picture)
            self.store.put(image.path, data)
            image = replace(image, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))
        status = "ok" if fine else "rejected" if outcome == "no_face" else "failed"
        return ledger_row(
            picture, status=status, code="" if fine else outcome, stage="sample", run_id=self.run_id, shard=ref.name,
            shard_try=1, signature_parameters=self.config.sources.signature_parameters, image=image if fine else None,
            findings=found,
        )  # fmt: skip

    def retries(self) -> list[ShardRef]:
        self.part, refs = plan_retries(
            self.recipes, self.config, self.store, self.run_id,
            ledger_files=ledger_files(self.store), scratch=self.scratch,
        )  # fmt: skip
        return refs

    def results(self, **more: Any) -> tuple[Balance, list[Row], list[Row]]:
        """Finish the last run; the rows of results.parquet and failed.parquet."""
        balance = write_results(
            self.store, self.run_id, ledger_files=ledger_files(self.store), scratch=self.scratch,
            signature_parameters=self.config.sources.signature_parameters, memory_mb=256,
            manifest=self.manifest, **more,
        )  # fmt: skip
        return balance, *(self.table(f"{name}.parquet").to_pylist() for name in ("results", "failed"))

    def table(self, name: str) -> pa.Table:
        filesystem, root = self.store.filesystem()
        return pq.read_table(f"{root}/runs/{self.run_id}/{name}", filesystem=filesystem)

    def text(self, name: str) -> str:
        return self.store.get(f"runs/{self.run_id}/{name}").decode()
