"""An address that is dead, or none, is one line in seconds."""

import socket
import time

import pytest

from idgen.actors import cluster
from idgen.actors.cluster_address import address_of, short_temp_folder, wait_for_answer
from idgen.config import ClusterConfig, Config
from idgen.errors import Exit, RunError


@pytest.fixture
def dead():
    """An address where nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"


def test_a_dead_address_is_one_line_within_wait_s(dead, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", dead)
    started = time.monotonic()
    with pytest.raises(RunError, match=f"no Ray cluster at {dead}: Connection refused") as error:
        cluster.connect(Config(cluster=ClusterConfig(wait_s=1.0)))
    assert time.monotonic() - started < 10
    assert error.value.exit_code == Exit.UNAVAILABLE


def test_a_stop_is_heard_while_a_dead_address_is_tried(dead):
    def stop():
        raise RunError(Exit.STOPPED, "stopped")

    with pytest.raises(RunError, match="stopped"):
        wait_for_answer(dead, 600.0, stop)


@pytest.mark.parametrize("address", ["ray://head:10001", "http://head:8265", "head", "head:x", ":6379", "head:0"])
def test_what_is_no_address_is_the_user_s_error(address):
    with pytest.raises(RunError, match=f"cluster.address={address}") as error:
        address_of(ClusterConfig(address=address))
    assert error.value.exit_code == Exit.USAGE


def test_local_and_auto_and_a_head_are_addresses(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "[::1]:6379")
    given = {"": "[::1]:6379", "local": "", "auto": "auto", "head:6379": "head:6379"}
    assert {name: address_of(ClusterConfig(address=name)) for name in given} == given


def test_a_head_that_answers_and_does_not_let_in_may_want_a_token(monkeypatch):
    def init(**_):
        raise ConnectionError("Failed to connect to Ray cluster")

    monkeypatch.setattr(cluster.ray, "init", init)
    with socket.create_server(("127.0.0.1", 0)) as head:
        config = Config(cluster=ClusterConfig(address=f"127.0.0.1:{head.getsockname()[1]}"))
        with pytest.raises(RunError, match="RAY_AUTH_TOKEN") as error:
            cluster.connect(config)
    assert error.value.exit_code == Exit.UNAVAILABLE


def test_whatever_ray_raises_is_one_line(monkeypatch):
    def init(**_):
        raise Exception("The current node timed out during startup.\nTraceback: deep")

    monkeypatch.setattr(cluster.ray, "init", init)
    with pytest.raises(RunError, match=r"this machine: The current node timed out.*deep$") as error:
        cluster.connect(Config(cluster=ClusterConfig(address="local")))
    assert "\n" not in error.value.message
    assert error.value.exit_code == Exit.UNAVAILABLE


def test_sockets_get_a_short_folder_when_the_usual_one_is_long(monkeypatch, tmp_path):
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setenv("TMPDIR", "/tmp")
    assert short_temp_folder() is None
    monkeypatch.setenv("TMPDIR", "/scratch/" + "x" * 80)
    assert short_temp_folder() == "/tmp/ray"


@pytest.mark.cluster
def test_a_local_cluster_starts_under_a_long_temporary_folder(monkeypatch, tmp_path):
    long = tmp_path / ("x" * 90)
    long.mkdir()
    monkeypatch.setenv("TMPDIR", str(long))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    try:
        cluster.connect(Config(cluster=ClusterConfig(address="local", num_cpus=1)))
        assert cluster.ray.cluster_resources()["CPU"] == 1
    finally:
        cluster.ray.shutdown()
