"""The whole job against its own sampler: jobs/benchmark.py on a configuration of its own."""

import importlib.util
import json
import sys
from collections.abc import Sequence

from idgen.benchmark.ahead import Weights
from idgen.benchmark.budget import Budget
from idgen.benchmark.figures import Job, fill
from idgen.benchmark.processes import ROOT, BlockError, check, run
from idgen.benchmark.recipes import setting_for

RECIPES = {"tiny": "faceid-sd15", "full": "faceid-plusv2-sd15"}
"""Of SD 1.5, whose pictures are the quickest: what the job adds to each shows most."""
PICTURES = {"tiny": 16, "full": 256}


PACKAGES = ("ray", "duckdb", "boto3", "insightface", "onnxruntime")


class NotRun(Exception):  # noqa: N818
    """Why a block cannot run here: nothing is wrong."""


def missing_packages() -> list[str]:
    """Return what a job needs and the sampler does not, as far as it is not installed."""
    return [name for name in PACKAGES if importlib.util.find_spec(name) is None]


def measure(job: Job, device: str, size: str, weights: Weights, budget: Budget) -> None:
    """Fill in `job`, once its weights are there: they may take half of its time.

    Raises NotRun without the job's packages, BlockError when something fails.
    """
    if lacking := missing_packages():
        raise NotRun(f"not installed: {', '.join(lacking)}")
    job.recipe = RECIPES[size]
    words = job_words(size, device, weights.get(job.recipe, budget.left_s / 2).words)
    ended = run([sys.executable, str(ROOT / "jobs" / "benchmark.py"), *words], budget.left_s)
    check(ended, "the job")
    found = json.loads(ended.last_line)
    fill(job, found | {"job_over_bare": found["job_per_s"] / found["bare_per_s"]})
    if not job.job_per_s:
        raise BlockError("the job made no pictures")


def job_words(size: str, device: str, weights: Sequence[str]) -> list[str]:
    """Return the words of jobs/benchmark.py; `weights` are those that say where weights are."""
    recipe = RECIPES[size]
    shape = {"tiny": (64, 4, 0.05), "full": (512, 20, 0.0)}[size]
    side_px, steps, at_least_s = shape
    return [
        *weights,
        f"recipe={recipe}",
        f"manifest={ROOT / 'manifests' / 'demo.csv'}",
        "cluster.address=local",
        f"overrides.{recipe}.defaults.width={side_px}",
        f"overrides.{recipe}.defaults.height={side_px}",
        f"overrides.{recipe}.defaults.num_inference_steps={steps}",
        f"sampling.num_gpus={int(device == 'cuda')}",
        f"sampling.batch_size={setting_for(recipe, size).batch if size == 'full' else 0}",
        f"benchmark.pictures={PICTURES[size]}",
        f"benchmark.min_seconds_per_picture={at_least_s}",
    ]
