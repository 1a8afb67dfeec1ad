"""The block door: does a job start, and make every recipe's pictures in half precision? Tiny weights, through Ray.

Two people with the same prompt and seed in every recipe and precision, in one run.
"""

import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from idgen.benchmark.budget import Budget
from idgen.benchmark.figures import Door, DoorFigures, fill
from idgen.benchmark.job import missing_packages
from idgen.benchmark.processes import ROOT, BlockError, check, run
from idgen.benchmark.recipes import TINY
from idgen.benchmark.workloads import DOOR_RECIPES, TINY_SIDE_PX, TINY_STEPS
from idgen.errors import Code

PEOPLE = ("ada", "ben")
PRECISIONS = ("float16", "bfloat16")
PHOTOS = ROOT / "manifests" / "demo"
LEAST_LEVELS = 1.0
"""Mean difference of two people's pictures, of 255: below it the person does not get through."""
Row = Mapping[str, object]


def measure(door: Door, device: str, budget: Budget) -> None:
    """Fill in `door`. Raises BlockError when a picture is missing or two people look the same."""
    door.through_ray = not missing_packages()
    left_s = budget.left_s
    with tempfile.TemporaryDirectory(prefix="idgen-door-") as name:
        if door.through_ray:
            _through_ray(door, device, Path(name), left_s)
        else:
            _alone(door, device, Path(name), left_s)
    door.seconds = left_s - budget.left_s
    judge(door)


def judge(door: Door) -> None:
    """Raise BlockError, naming the first fault, unless every picture is there and people differ."""
    faults = []
    for recipe, precision, found in _parts(door):
        if found.ok != len(PEOPLE):
            faults.append(f"{recipe} in {precision}: {found.ok or 0} of {len(PEOPLE)} pictures")
        elif not (found.people_differ_levels or 0) > LEAST_LEVELS:
            faults.append(f"{recipe} in {precision}: two people look the same ({found.people_differ_levels} levels)")
    if faults:
        raise BlockError(f"{faults[0]} ({len(faults)} such)" if len(faults) > 1 else faults[0])


def _parts(door: Door) -> Iterator[tuple[str, str, DoorFigures]]:
    for recipe, figures in door.recipes.items():
        for precision in PRECISIONS:
            yield recipe, precision, getattr(figures, precision)


def job_words(folder: Path, device: str) -> list[str]:
    """Return the words of the job, and write its manifest: each recipe once more in each precision."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = {f"{recipe}-{precision}": (recipe, precision) for recipe in DOOR_RECIPES for precision in PRECISIONS}
    rows = [
        {
            "row_id": f"{name}-{person}",
            "recipe": name,
            "reference_uri": str(PHOTOS / f"{person}.png"),
            "prompt": "portrait of a person in a red coat, smiling, on a beach",
            "seed": 1,
            "width": TINY_SIDE_PX,
            "height": TINY_SIDE_PX,
            "num_inference_steps": TINY_STEPS,
        }
        for name in names
        for person in PEOPLE
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "manifest.parquet")
    changes = [
        word
        for name, (recipe, precision) in names.items()
        for word in (f"overrides.{name}.like={recipe}", f"overrides.{name}.base.dtype={precision}")
    ]
    fixed = [f"manifest={folder}/manifest.parquet", f"output={folder}/out", f"sources.roots=[{PHOTOS}]"]
    # what fails is counted here, not by the job
    quick = ["report.enabled=false", "cluster.address=local", "run.max_failed_fraction=1", "run.second_pass=false"]
    return [TINY, *changes, *fixed, *quick, f"sampling.num_gpus={int(device == 'cuda')}", f"sampling.device={device}"]


def _through_ray(door: Door, device: str, folder: Path, seconds: float) -> None:
    words = job_words(folder, device)
    try:
        check(run([sys.executable, str(ROOT / "jobs" / "generate.py"), *words], seconds), "the job")
    finally:
        _read(door, folder / "out")


def _read(door: Door, output: Path) -> None:
    """Fill in what the ledger tells, of a job that was stopped too."""
    from idgen.outputs.ledger import dataset, ledger_files  # brings DuckDB
    from idgen.stores.opening import open_store

    store = open_store(str(output))
    rows = {row["row_id"]: row for row in dataset(store).to_table().to_pylist()} if ledger_files(store) else {}
    for recipe, precision, found in _parts(door):
        names = [f"{recipe}-{precision}-{person}" for person in PEOPLE]
        _count(found, [rows[name] for name in names if name in rows], output)


def _count(found: DoorFigures, rows: list[Row], output: Path) -> None:
    made = [row for row in rows if row["status"] == "ok"]
    found.pictures, found.ok = len(PEOPLE), len(made)
    found.non_finite = sum(row["code"] == Code.NON_FINITE for row in rows)
    if len(made) == len(PEOPLE):
        pixels = [np.asarray(Image.open(output / str(row["image_path"])).convert("RGB"), np.float32) for row in made]
        found.people_differ_levels = float(np.abs(pixels[0] - pixels[1]).mean())


def _alone(door: Door, device: str, folder: Path, seconds: float) -> None:
    """Without the job's packages: the sampler alone, in one process."""
    out = folder / "door.json"
    task = json.dumps({"device": device, "out": str(out)})
    try:
        check(run([sys.executable, "-m", "idgen.benchmark.door_alone", task], seconds), "the sampler")
    finally:
        if out.is_file():
            fill_recipes(door, json.loads(out.read_text()))


def fill_recipes(door: Door, found: Mapping[str, Mapping[str, object]]) -> None:
    """Put what is known of some recipes and precisions in its place."""
    for recipe, precisions in found.items():
        fill(door.recipes[recipe], dict(precisions))
