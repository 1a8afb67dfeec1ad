"""The JSON has the same keys whatever runs where: people compare files of different machines."""

import json
from dataclasses import asdict

import pytest
from doubles.json_tables import tables

from idgen.benchmark.figures import Document, SpeedFigures, fill
from idgen.benchmark.workloads import DOOR_RECIPES, SPEED_RECIPES
from idgen.config import BenchmarkConfig

DOCUMENT = Document(device="cpu", size="tiny", budget_s=1.0, started_at="", git_commit="")
TESTS = "passed failed skipped failures"
GOLDEN = f"{TESTS} worst_share worst alone_worst_share alone_worst"
WAY = (
    "batch pictures non_finite seconds first_batch_s images_per_s limit_share peak_memory_bytes host_syncs_per_step"
    " host_syncs_per_batch gpu_busy_share"
)
KEYS = {
    "": "device size budget_s started_at git_commit seconds machine blocks not_run",
    "machine": "python torch cuda diffusers transformers ray cpus gpu gpu_memory_bytes bfloat16_tflops",
    "blocks": "door correctness speed job gpu_tests",
    **{
        f"blocks.{name}": "state reason seconds allowed_s figures"
        for name in ("door", "correctness", "speed", "job", "gpu_tests")
    },
    "blocks.door.figures": "through_ray seconds recipes",
    "blocks.door.figures.recipes": " ".join(DOOR_RECIPES),
    "blocks.correctness.figures": "float32 bfloat16",
    "blocks.correctness.figures.float32": GOLDEN,
    "blocks.correctness.figures.bfloat16": GOLDEN,
    "blocks.speed.figures": "recipes",
    "blocks.speed.figures.recipes": " ".join(SPEED_RECIPES),
    "blocks.job.figures": "recipe steps batch job_per_s bare_per_s job_over_bare drift checks_cpu_ms"
    " face_analysis_cpu_ms",
    "blocks.gpu_tests.figures": TESTS,
}
for recipe in DOOR_RECIPES:
    KEYS[f"blocks.door.figures.recipes.{recipe}"] = "float16 bfloat16"
    for precision in ("float16", "bfloat16"):
        KEYS[f"blocks.door.figures.recipes.{recipe}.{precision}"] = "pictures ok non_finite people_differ_levels"
for recipe in SPEED_RECIPES:
    KEYS[f"blocks.speed.figures.recipes.{recipe}"] = (
        "weights width height steps scheduler dtype write_s load_s limit_images_per_s plain_leaves_out plain eager"
        " compiled compile_backend eager_over_plain compiled_over_plain error"
    )
    for way in ("plain", "eager", "compiled"):
        KEYS[f"blocks.speed.figures.recipes.{recipe}.{way}"] = WAY


def test_the_keys_are_these():
    assert dict(tables(asdict(DOCUMENT))) == {at: set(names.split()) for at, names in KEYS.items()}


def test_the_recipes_that_are_measured_are_these():
    assert set(DOOR_RECIPES) == {"faceid-sd15", "faceid-sdxl", "instantid", "ecomid", "pulid-v1", "kolors-faceid-plus"}
    assert set(SPEED_RECIPES) == {"faceid-sdxl", "instantid", "ecomid", "kolors-faceid-plus", "faceid-plusv2-sd15"}


def test_the_blocks_of_the_configuration_are_those_of_the_document():
    assert BenchmarkConfig().blocks == list(DOCUMENT.blocks)


def test_what_a_process_found_goes_in_and_a_stranger_does_not():
    figures = SpeedFigures()
    fill(figures, {"steps": 4, "plain": {"batch": 1, "seconds": 2.0}})
    assert (figures.steps, figures.plain.batch, figures.plain.seconds) == (4, 1, 2.0)
    with pytest.raises(KeyError):
        fill(figures, {"plain": {"speed": 1.0}})


def test_the_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "figures.json"
    DOCUMENT.write(path)
    assert set(json.loads(path.read_text())) == set(KEYS[""].split())
    DOCUMENT.blocks["job"].figures.steps = object()
    with pytest.raises(TypeError):
        DOCUMENT.write(path)
    assert set(json.loads(path.read_text())) == set(KEYS[""].split())
    DOCUMENT.blocks["job"].figures.steps = None


@pytest.mark.parametrize(
    ("recipe", "images_per_s"),
    [
        ("faceid-sdxl", 2.81),
        ("instantid", 1.97),
        ("ecomid", 1.97),
        ("kolors-faceid-plus", 2.20),
        ("faceid-plusv2-sd15", 22.8),
    ],
)
def test_limits_are_the_counted_ones(recipe, images_per_s):
    assert SPEED_RECIPES[recipe].limit_images_per_s == pytest.approx(images_per_s, rel=5e-3)
