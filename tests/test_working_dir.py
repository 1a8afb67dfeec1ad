"""`ray job submit --working-dir .`: what Ray's own packaging sends of this checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from ray._private.ray_constants import RAY_RUNTIME_ENV_DEFAULT_EXCLUDES
from ray._private.runtime_env.packaging import create_package

ROOT = Path(__file__).parents[1]
MOST_BYTES = 5_000_000


@pytest.fixture(scope="module")
def sent(tmp_path_factory):
    """The zip file, as the job client makes it with the README's command."""
    target = tmp_path_factory.mktemp("sent") / "package.zip"
    create_package(str(ROOT), target, include_gitignore=True, excludes=RAY_RUNTIME_ENV_DEFAULT_EXCLUDES.split(","))
    return target


def test_under_five_megabytes_are_sent_with_all_that_a_job_needs(sent):
    assert sent.stat().st_size < MOST_BYTES
    with zipfile.ZipFile(sent) as opened:
        names = {name for name in opened.namelist() if not name.endswith("/")}
    folders = {path.relative_to(ROOT) for name in ("idgen", "jobs", "configs", "manifests") for path in ROOT.glob(name)}
    wanted = {
        str(path.relative_to(ROOT))
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and "drawn_weights" not in path.parts
    }
    assert wanted <= names
    assert not [name for name in names if name.startswith(("tests/", ".venv/", "output/")) or "drawn_weights" in name]


def test_a_node_that_has_nothing_but_this_plans(sent, tmp_path):
    with zipfile.ZipFile(sent) as opened:
        opened.extractall(tmp_path / "working_dir")
    words = ["configs/tiny.yaml", f"manifest={ROOT}/manifests/examples/controls.csv", f"output={tmp_path}/out"]
    environment = {name: os.environ[name] for name in ("HOME", "IDGEN_TINY_DIR") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "jobs/plan.py", *words], cwd=tmp_path / "working_dir", capture_output=True, text=True,
        timeout=300, env={**environment, "PATH": "/usr/bin:/bin", "PYTHONPATH": str(tmp_path / "working_dir")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [*tmp_path.glob("out/runs/*/plan/summary.json")]
