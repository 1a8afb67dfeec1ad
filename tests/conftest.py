"""Fixtures that every room may use, and which tests may run beside which."""

import functools
import os
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

sys.path.insert(0, str(Path(__file__).parent))  # tests import `doubles.…`
# Ray gives its workers nice 15: beside the other tests they would hardly get a turn
os.environ.setdefault("RAY_worker_niceness", "0")

from doubles.s3 import S3Server

RAY_LANES = 2


@functools.cache
def ray_lanes() -> dict[str, str]:
    """Files of tests that start clusters -> the lane of each."""
    root = Path(__file__).parents[1]
    files = sorted(path for path in root.glob("tests/*/test_*.py") if "mark.cluster" in path.read_text())
    return {str(path.relative_to(root)): f"ray {number % RAY_LANES}" for number, path in enumerate(files)}


class Lanes(LoadFileScheduling):
    """A file's tests in one process, and the files with clusters in two: more clusters are too much for two cores.

    (Groups of `--dist loadgroup` do nothing under pytest 9.2 with pytest-xdist 3.8.)
    """

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return ray_lanes().get(file, file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Lanes | None:
    """Use lanes with `pytest --dist loadfile`."""
    return Lanes(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the clusters, which take longest."""
    items.sort(key=lambda item: item.get_closest_marker("cluster") is None)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """A running S3 server; the environment is set per test, by `s3_bucket`."""
    with S3Server.start() as server:
        yield server


@pytest.fixture
def s3_bucket(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """A new bucket, with the AWS_* environment that reaches it for the length of the test."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    bucket = f"test-{uuid.uuid4().hex[:12]}"
    s3_server.make_bucket(bucket)
    return bucket


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path):
    """An empty store of each kind."""
    from idgen.stores.opening import open_store

    if request.param == "local":
        return open_store(str(tmp_path / "store"))
    return open_store(f"s3://{request.getfixturevalue('s3_bucket')}/some/prefix")
