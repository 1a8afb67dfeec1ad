"""The wheel: small, whole, and at work outside the checkout."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MOST_BYTES = 4_000_000
SOURCES = ("idgen", "configs", "pyproject.toml", "README.md", "LICENSE")
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy: setuptools leaves build/ and idgen.egg-info where it works."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        here = ROOT / name
        if here.is_dir():
            shutil.copytree(here, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(here, source / name)
    words = ["wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", str(target), str(source)]
    subprocess.run([*PIP, *words], check=True, timeout=300)
    (file,) = target.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A folder that Python finds idgen in, and nothing of the checkout."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([*PIP, "install", "--no-deps", "--no-index", "--target", str(folder), str(wheel)], check=True)
    return folder


@pytest.fixture
def idgen(installed, tmp_path):
    """Runs the installed command in an empty folder."""

    def run(*words):
        (tmp_path / "empty").mkdir(exist_ok=True)
        return subprocess.run(
            [sys.executable, str(installed / "bin" / "idgen"), *words], cwd=tmp_path / "empty", capture_output=True,
            text=True, timeout=300, env={**os.environ, "PYTHONPATH": str(installed)},
        )  # fmt: skip

    return run


def test_the_wheel_is_small_and_has_what_the_jobs_read(wheel):
    assert wheel.stat().st_size < MOST_BYTES
    with zipfile.ZipFile(wheel) as opened:
        names = set(opened.namelist())
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "idgen").rglob("*.py")}
    configs = {path.relative_to(ROOT) for path in (ROOT / "configs").rglob("*.yaml")} - {Path("configs/demo.yaml")}
    page = {str(path.relative_to(ROOT)) for path in (ROOT / "idgen" / "report" / "page").iterdir()}
    pack = {f"idgen/tiny/facepack/{name}" for name in ("det_drawn.onnx", "rec_drawn.onnx", "README.md")}
    wanted = modules | {f"idgen/{path}" for path in configs} | page | pack | {"idgen/py.typed"}
    assert {name for name in names if ".dist-info/" not in name} == wanted


def test_it_plans_and_lists_weights_in_an_empty_folder(idgen, installed, tmp_path):
    where = idgen("weights", "list")
    assert where.returncode == 0, where.stderr
    assert "faceid-sdxl" in where.stdout
    assert "base sdxl-turbo" in where.stdout
    shutil.copytree(ROOT / "manifests" / "demo", tmp_path / "demo")
    (tmp_path / "mine.csv").write_text("reference_uri,prompt\ndemo/ada.png,a person\n")
    words = ("configs/tiny.yaml", f"manifest={tmp_path / 'mine.csv'}", f"output={tmp_path / 'out'}")
    planned = idgen("plan", *words)
    assert planned.returncode == 0, planned.stderr
    assert [*tmp_path.glob("out/runs/*/plan/summary.json")]
    code = "import idgen, idgen.tiny.world as world; print(idgen.__file__, world.locate('facepack'))"
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(installed)}, check=True,
        capture_output=True, text=True,
    )  # fmt: skip
    assert told.stdout.split() == [str(installed / "idgen" / "__init__.py"), str(installed / "idgen/tiny/facepack")]


def test_the_demos_weights_are_refused_in_a_line_that_says_where_they_are(idgen, tmp_path):
    (tmp_path / "mine.csv").write_text("reference_uri,prompt\nada.png,a person\n")
    words = (f"manifest={tmp_path / 'mine.csv'}", f"output={tmp_path / 'out'}", "recipe=faceid-sd15")
    refused = idgen("plan", *words, "overrides.faceid-sd15.base.weights=drawn:sd15")
    assert refused.returncode == 2
    (line,) = refused.stderr.splitlines()
    assert "in a checkout of idgen's repository, not in its wheel" in line
    checked = idgen("weights", "check", "recipe=faceid-sd15")
    assert "`idgen weights fetch recipe=faceid-sd15` gets what is missing" in checked.stdout
    assert idgen("generate", "configs/demo.yaml").returncode == 2
