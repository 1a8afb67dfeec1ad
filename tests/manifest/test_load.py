"""A million rows: the rate and the memory of a plan, of a second plan that finds all done, and of the results.

pytest -q -s -m load tests/manifest/test_load.py        # ROWS=10000000 for ten million
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROWS = int(os.environ.get("ROWS", "1000000"))
MEMORY_MB = 1024
MAX_RSS_MIB = MEMORY_MB + 768
"""DuckDB's limit, and what Python, Arrow and a few batches take besides: it does not grow with the rows."""

WORKER = """
import json, resource, sys, time
from pathlib import Path
from idgen.config import Config, PlannerConfig
from idgen.manifest.planner import plan
from idgen.manifest.results import write_results
from idgen.recipes.recipe import Recipe
from idgen.stores.local import LocalStore

folder, run_id, memory = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
store = LocalStore(folder / "out")
files = [str(p.relative_to(folder / "out")) for p in sorted((folder / "out" / "ledger").rglob("*.parquet"))]
scratch = folder / "scratch" / run_id
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
clock, cpu = time.monotonic(), time.process_time()
summary = plan(
    str(folder / "m.parquet"), {"r": Recipe(name="r")}, {"r": "ab" * 16},
    Config(recipe="r", planner=PlannerConfig(memory_mb=memory)), store, run_id,
    ledger_files=files, schedulers=["ddim"], scratch=scratch,
)
told = {"plan_s": time.monotonic() - clock, "plan_cpu_s": time.process_time() - cpu, "plan_rss_mib": peak()}
clock, cpu = time.monotonic(), time.process_time()
balance = write_results(
    store, run_id, ledger_files=files, scratch=scratch, signature_parameters=[], memory_mb=memory
)
told |= {"results_s": time.monotonic() - clock, "results_cpu_s": time.process_time() - cpu, "rss_mib": peak()}
told |= {"asked": summary.asked, "to_make": summary.to_make, "shards": summary.shards, "skipped": balance.skipped}
told["scratch_mib"] = sum(p.stat().st_size for p in scratch.rglob("*") if p.is_file()) // 2**20
print(json.dumps({k: round(v, 1) for k, v in told.items()}))
"""


@pytest.mark.load
@pytest.mark.timeout(7200)
def test_a_million_rows_are_planned_in_bounded_memory(tmp_path: Path):
    write_rows(tmp_path / "m.parquet")
    first = run(tmp_path, "first")
    assert (first["asked"], first["to_make"]) == (ROWS, ROWS)
    write_ledger(tmp_path)
    second = run(tmp_path, "second")
    assert (second["to_make"], second["skipped"]) == (0, ROWS)
    assert max(first["rss_mib"], second["rss_mib"]) < MAX_RSS_MIB


def write_rows(path: Path, piece: int = 50_000) -> None:
    """500 people, 20,000 products, three step counts."""
    writer = None
    for start in range(0, ROWS, piece):
        numbers = range(start, min(ROWS, start + piece))
        table = pa.table(
            {
                "row_id": [f"r{n:08d}" for n in numbers],
                "sku": [f"{n % 20000:06d}" for n in numbers],
                "person_id": [f"m{n * 7919 % 500}" for n in numbers],
                "reference_uri": [f"s3://photos/models/{n * 7919 % 500:05d}/front.jpg" for n in numbers],
                "prompt": [f"studio photo of a model wearing item {n % 20000}, look {n}" for n in numbers],
                "num_inference_steps": pa.array([20 + n % 3 * 5 for n in numbers], pa.int32()),
                "season": ["ss27" for _ in numbers],
            }
        )
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    writer.close()


def write_ledger(folder: Path) -> None:
    """Every picture ok, in files of 50,000 rows as compaction leaves them."""
    from datetime import UTC, datetime

    from idgen.schemas import LEDGER

    (folder / "out" / "ledger").mkdir(parents=True)
    asked = pq.ParquetFile(folder / "scratch" / "first" / "asked.parquet")
    now = datetime.now(UTC)
    zero = {pa.string(): "", pa.int32(): 1, pa.int64(): 1, pa.bool_(): False, pa.timestamp("us", tz="UTC"): now}
    for number, batch in enumerate(asked.iter_batches(50_000)):
        said = {
            "status": "ok",
            "image_path": "images/ab/ab.png",
            "settings": json.dumps({"steps": 30} | {"x": "y" * 200}),
        }
        columns = [
            batch.column(field.name).cast(field.type)
            if field.name in ("key", "row_id", "prompt", "recipe", "sku", "image_index", "seed")
            else pa.nulls(batch.num_rows, field.type)
            if field.nullable
            else pa.array([said.get(field.name, zero[field.type])] * batch.num_rows, field.type)
            for field in LEDGER
        ]
        table = pa.Table.from_arrays(columns, schema=LEDGER)
        pq.write_table(table, folder / "out" / "ledger" / f"compact-{number:05d}.parquet")


def run(folder: Path, run_id: str) -> dict:
    """Plan and finish in a process of its own, whose memory is measured."""
    found = subprocess.run(
        [sys.executable, "-c", WORKER, str(folder), run_id, str(MEMORY_MB)], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
    told = json.loads(found.stdout.splitlines()[-1])
    print(f"\n{run_id}: {told}; {ROWS / told['plan_cpu_s']:.0f} rows per CPU second planned")  # noqa: T201
    return told
