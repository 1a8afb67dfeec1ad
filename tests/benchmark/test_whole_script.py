"""The script for a lent machine runs whole on a CPU with the tiny world's weights: the same blocks, the same keys."""

import json
import math
import subprocess
import sys
from dataclasses import asdict

import pytest
from doubles.catalogue import ROOT
from doubles.json_tables import tables

from idgen.benchmark.door import fill_recipes, judge
from idgen.benchmark.figures import Document, Door

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(4000)]
BUDGET_S = 3600
"""Ten times what it takes on idle cores: beside other tests a block may not run out of its part."""


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("benchmark") / "figures.json"
    words = ["benchmark.device=cpu", "benchmark.size=tiny", f"benchmark.budget_s={BUDGET_S}", f"benchmark.json={path}"]
    done = subprocess.run([sys.executable, "jobs/benchmark.py", *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(path.read_text())


def positive(value):
    return isinstance(value, int | float) and math.isfinite(value) and value > 0


def test_it_has_the_keys_that_every_device_has(written):
    pinned = Document(device="cpu", size="tiny", budget_s=BUDGET_S, started_at="", git_commit="")
    assert dict(tables(written)) == dict(tables(asdict(pinned)))


def test_every_block_is_done_and_what_had_no_device_is_told(written):
    states = {name: block["state"] for name, block in written["blocks"].items()}
    assert states == {**dict.fromkeys(("door", "correctness", "speed", "job"), "done"), "gpu_tests": "not run"}
    assert {line.partition(":")[0] for line in written["not_run"]} >= {*states}
    assert all(positive(block["seconds"]) for block in written["blocks"].values())
    assert written["seconds"] < BUDGET_S
    assert positive(written["machine"]["cpus"])
    assert written["machine"]["gpu"] is None


def test_every_recipe_gives_pictures_of_different_people_in_half_precision_through_ray(written):
    figures, door = written["blocks"]["door"]["figures"], Door()
    assert figures["through_ray"]
    fill_recipes(door, figures["recipes"])
    judge(door)
    for recipe in figures["recipes"].values():
        for found in recipe.values():
            assert (found["pictures"], found["ok"], found["non_finite"]) == (2, 2, 0)
            assert found["people_differ_levels"] < 255


def test_the_goldens_are_within_what_is_allowed(written):
    for found in written["blocks"]["correctness"]["figures"].values():
        assert found["failed"] == 0
        assert found["passed"] >= 2
        assert 0 < found["worst_share"] <= 1
        assert 0 <= found["alone_worst_share"] <= 1


def test_each_way_of_each_recipe_is_timed(written):
    for name, found in written["blocks"]["speed"]["figures"]["recipes"].items():
        assert found["error"] is None, name
        for way in ("plain", "eager", "compiled"):
            assert all(positive(found[way][key]) for key in ("batch", "pictures", "images_per_s", "first_batch_s"))
            rate = found[way]["pictures"] / found[way]["seconds"]
            assert found[way]["images_per_s"] == pytest.approx(rate)
            assert found[way]["limit_share"] is found[way]["gpu_busy_share"] is found[way]["peak_memory_bytes"] is None
        assert found["plain"]["host_syncs_per_step"] == 2
        assert found["eager"]["host_syncs_per_step"] == 0
        assert found["eager"]["host_syncs_per_batch"] <= 1, "the sizes that SDXL is told"
        assert found["compiled"]["host_syncs_per_step"] is None
        for way in ("plain", "eager", "compiled"):
            assert found[way]["non_finite"] == (None if way == "plain" else 0)
        assert found["eager"]["batch"] > found["plain"]["batch"] == 1
        for way in ("eager", "compiled"):
            ratio = found[way]["images_per_s"] / found["plain"]["images_per_s"]
            assert found[f"{way}_over_plain"] == pytest.approx(ratio)


def test_the_job_is_told_against_its_sampler_and_gpu_tests_skip_themselves(written):
    job = written["blocks"]["job"]["figures"]
    assert all(positive(job[name]) for name in ("job_per_s", "bare_per_s", "drift", "steps", "batch"))
    assert job["job_over_bare"] == pytest.approx(job["job_per_s"] / job["bare_per_s"])
    assert 0.05 < job["job_over_bare"] < 20
    tests = written["blocks"]["gpu_tests"]["figures"]
    assert tests["skipped"] > 0
    assert tests["passed"] == tests["failed"] == 0
