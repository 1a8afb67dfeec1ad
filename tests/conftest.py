"""Fixtures that every room may use."""

import gc
import os
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import hypothesis  # noqa: F401  # later its plugins would ask gc.get_referrers, blind to the frozen
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # tests import `doubles.…`
# Ray gives its workers nice 15: beside the other tests they would hardly get a turn
os.environ.setdefault("RAY_worker_niceness", "0")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # `make test` has more processes than cores

from doubles.s3 import S3Server

LONG = ("test_drawn.py", "test_variants.py")
"""Minutes each, in the slow lane: they must not begin when the others end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest."""
    gone = set(LONG) - {path.name for path in Path(__file__).parent.rglob("test_*.py")}
    if gone:
        raise pytest.UsageError(f"tests/conftest.py: LONG names files that are not there: {', '.join(sorted(gone))}")
    items.sort(key=lambda item: item.path.name not in LONG)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Keep the garbage collector off what is imported: it took a tenth of the tests' time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


def pytest_unconfigure() -> None:
    """Let it look at everything again: libraries report as lost what is there at the end."""
    gc.unfreeze()


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
