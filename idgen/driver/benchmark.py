"""The job against its own sampler in a plain loop: what faces, Ray, encoding, store and ledger cost together.

Then what the checks on a finished picture cost, in CPU time (idgen/benchmark/checks_cost.py).

Both take the same pictures in the same batches with the same threads. The loop runs in a process of its own before and
after the job, because a machine's speed drifts; the job's rate is taken between the first and the last published
batch, so that neither side pays for start-up.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from idgen.benchmark.checks_cost import measure_checks
from idgen.config import Config
from idgen.driver.run import generate_job
from idgen.errors import Exit, RunError
from idgen.outputs.ledger import dataset
from idgen.recipes.book import load_recipes
from idgen.stores.opening import open_store

if TYPE_CHECKING:
    from idgen.sampling.rows import SampleRow

STEPS_AT_MOST = 1000


@dataclass(frozen=True, slots=True)
class Rate:
    """Pictures per second over `pictures` pictures."""

    pictures: int
    seconds: float

    @property
    def per_second(self) -> float:
        """The rate."""
        return self.pictures / self.seconds


def benchmark_job(config: Config) -> int:
    """Measure, print a table and JSON, and return OK; with `benchmark.device` the whole script, and its exit code."""
    if config.benchmark.device:
        from idgen.benchmark.script import run_script

        return run_script(config.benchmark, say=partial(print, flush=True))
    if not config.recipe:
        raise RunError(Exit.USAGE, "say which recipe to measure: recipe=<name>")
    with tempfile.TemporaryDirectory(prefix="idgen-benchmark-") as folder:
        first = _bare(config, 0)
        steps = int(first["steps"])
        job = _job(config, steps, Path(folder))
        second = _bare(config, steps)
    bare = Rate(int(first["pictures"] + second["pictures"]), first["seconds"] + second["seconds"])
    print(f"{'':14}{'pictures':>10}{'seconds':>10}{'images/s':>10}   ({steps} steps, batch {first['batch']})")
    for name, rate in (("bare sampler", bare), ("whole job", job)):
        print(f"{name:14}{rate.pictures:10,}{rate.seconds:10.1f}{rate.per_second:10.3f}")
    drift = first["pictures"] / first["seconds"] / (second["pictures"] / second["seconds"])
    print(f"job / bare = {job.per_second / bare.per_second:.3f}   (bare before / after: {drift:.3f})")
    found = {"job_per_s": job.per_second, "bare_per_s": bare.per_second, "steps": steps, "drift": drift}
    cost = measure_checks(Path(_references(config)[0]), load_recipes(config)[config.recipe], config.checks)
    print("\n".join(cost.lines()))
    found |= {"checks_cpu_ms": round(cost.checks_ms, 2)}
    if cost.faces_ms is not None:
        found |= {"face_analysis_cpu_ms": round(cost.faces_ms, 2)}
    print(json.dumps(found | {"batch": int(first["batch"])}))
    return Exit.OK


def _job(config: Config, steps: int, folder: Path) -> Rate:
    """Run the job over copies of the first reference with distinct prompts; rate between first and last batch."""
    rows = config.benchmark.pictures
    uris = _references(config)
    table = pa.table(
        {
            "reference_uri": [uris[i * len(uris) // rows] for i in range(rows)],
            "prompt": [f"portrait number {i}" for i in range(rows)],
            "num_inference_steps": pa.array([steps] * rows, pa.int32()),
        }
    )
    pq.write_table(table, folder / "manifest.parquet")
    roots = [*config.sources.roots, str(Path(config.manifest).resolve().parent)]
    quiet = replace(
        config,
        manifest=str(folder / "manifest.parquet"),
        output=str(folder / "out"),
        sources=replace(config.sources, roots=roots),
        report=replace(config.report, enabled=False),
        planner=replace(config.planner, shard_seconds=120.0, max_shard_rows=256),
        notes=[],
    )
    code = generate_job(quiet)
    if code != Exit.OK:
        raise RunError(Exit.BUG, f"the job ended with {code}")
    ledger = dataset(open_store(quiet.output)).to_table(columns=["finished_at", "status", "batch_rows", "shard"])
    return _between(ledger)


def _between(ledger: pa.Table) -> Rate:
    """From the first batch's end to the last one's, without the first batch's pictures."""
    times = sorted(value.timestamp() for value in ledger["finished_at"].to_pylist())
    batch = max(ledger["batch_rows"].to_pylist())
    return Rate(len(times) - batch, times[-1] - times[batch - 1])


def _bare(config: Config, steps: int) -> dict[str, float]:
    """Run `_loop` (0 steps = find how many) in a process with as many threads as a sampling actor; its JSON answer."""
    task = {
        "layer": {name: getattr(config, name) for name in ("overrides", "recipes_dir", "base_overrides", "bases_dir")},
        "recipe": config.recipe,
        "steps": steps,
        "pictures": config.benchmark.pictures,
        "at_least_s": config.benchmark.min_seconds_per_picture,
        "device": "cuda" if config.sampling.num_gpus > 0 else "cpu",
        "batch": config.sampling.batch_size,
    }
    done = subprocess.run(
        [sys.executable, "-m", "idgen.driver.benchmark", json.dumps(task)],
        env={
            **os.environ,
            "OMP_NUM_THREADS": str(max(1, int(config.sampling.num_cpus))),
            "TRANSFORMERS_VERBOSITY": "error",
        },
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _references(config: Config) -> list[str]:
    """Distinct references of the manifest, the demo's CSV or a Parquet file, that are local pictures."""
    from idgen.manifest.reading import stage

    with tempfile.TemporaryDirectory() as scratch:
        staged = stage(config.manifest, Path(scratch))
        names = [name for name in ("reference_uri",) if name in pq.read_schema(staged.path).names]
        column = pq.read_table(staged.path, columns=names)[0].to_pylist() if names else []
    folder = Path(config.manifest).resolve().parent
    found = [str(folder / uri) for uri in dict.fromkeys(column) if uri and "://" not in uri]
    if not (there := [uri for uri in found if Path(uri).exists()][:8]):
        raise RunError(
            Exit.USAGE, f"{config.manifest} names no local photo under reference_uri: the benchmark needs one"
        )
    return there


def _loop(
    layer: dict[str, Any], recipe: str, steps: int, pictures: int, at_least_s: float, device: str, batch: int
) -> None:
    """The bare sampler over `pictures` rows of distinct people and prompts; prints what it took as JSON."""
    from idgen.full_size.pictures import bucket_for, rows_for
    from idgen.sampling.sampler import Sampler

    chosen = load_recipes(Config(**layer))[recipe]
    facts, bucket = chosen.defaults, bucket_for(chosen)
    sampler = Sampler.load(chosen, lora_scale=facts.lora_scale, device=device)
    batch = batch or chosen.batch_size
    rows = rows_for(chosen, bucket, pictures)

    def timed(rows: "list[SampleRow]", steps: int) -> float:
        """Return the seconds that `rows` take."""
        start = time.perf_counter()
        for at in range(0, len(rows), batch):
            sampler.sample(rows[at : at + batch], replace(bucket, num_inference_steps=steps))
        return time.perf_counter() - start

    # a distilled base has its own number of steps
    fixed, steps = steps > 0 or bool(chosen.base.steps), steps or facts.num_inference_steps
    timed(rows[:batch], steps if fixed else 2)  # warm
    while not fixed and timed(rows[:batch], steps) / batch < at_least_s and steps < STEPS_AT_MOST:
        steps = min(STEPS_AT_MOST, steps * 2)
    print(json.dumps({"steps": steps, "pictures": pictures, "seconds": timed(rows, steps), "batch": batch}))


if __name__ == "__main__":
    _loop(**json.loads(sys.argv[1]))
