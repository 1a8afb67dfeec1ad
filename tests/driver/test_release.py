"""The request for nodes is taken back however a run ends. No Ray here: the cluster is a double."""

import threading
from types import SimpleNamespace

import pytest

from idgen.actors import cluster
from idgen.actors.cluster import Pool, Pools
from idgen.actors.facts import RunFacts, SamplerSettings
from idgen.actors.monitor import MonitorState
from idgen.config import Config, ImagesConfig, SamplingConfig
from idgen.driver import line
from idgen.driver.watch import StopRequest
from idgen.errors import Exit, RunError
from idgen.manifest.shards import ShardRef
from idgen.pipeline import Line

POOL = Pool(actors=1, at_least=1, cpus=1)
SHARD = ShardRef(file="s.parquet", row_group=0, name="s", rows=1, load_group="g", bucket="b")


@pytest.fixture
def released(monkeypatch):
    """What was asked of the cluster's autoscaler."""
    calls = []
    monkeypatch.setattr(cluster, "request_resources", lambda bundles: calls.append(bundles))
    monkeypatch.setattr(cluster, "connect", lambda _config, _check_stop: None)
    monkeypatch.setattr(cluster, "pools", lambda *_: Pools(faces=POOL, sampling=POOL))
    monkeypatch.setattr(cluster, "check_output", lambda _store, shared: None)
    monkeypatch.setattr(cluster, "start_monitor", MonitorState)
    monkeypatch.setattr(line, "_line", _line)
    monkeypatch.setattr(line, "shards", lambda *_: [SHARD])
    return calls


def _line(_run, _plan, pools, monitor, pool_state):
    facts = RunFacts(output="", run_id="run", recipes={}, identities={}, signature_parameters=[])
    sampler = SamplerSettings(sampling=SamplingConfig(), images=ImagesConfig())
    return Line(
        run=facts,
        faces=None,
        sampler=sampler,
        pools=pools,
        monitor=monitor,
        no_progress_timeout_s=1,
        pool_state=pool_state,
    )


def run_line():
    run = SimpleNamespace(config=Config(), store=None, id="run")
    stop = StopRequest()
    return line.run_line(run, SimpleNamespace(shards=1, part=""), SimpleNamespace(lost=threading.Event()), stop)


def fail(*_):
    raise RunError(Exit.UNAVAILABLE, "gone")


def test_a_pass_that_raises_does_not_keep_the_nodes(monkeypatch, released):
    monkeypatch.setattr(line.pipeline, "run", fail)
    with pytest.raises(RunError, match="gone"):
        run_line()
    assert released == [[]]


def test_a_wait_for_nodes_that_ends_does_not_keep_them(monkeypatch, released):
    monkeypatch.setattr(cluster, "pools", fail)
    with pytest.raises(RunError, match="gone"):
        run_line()
    assert released == [[]]


def test_a_request_that_cannot_be_taken_back_does_not_hide_how_the_run_ended(monkeypatch, released):
    monkeypatch.setattr(line.pipeline, "run", fail)
    monkeypatch.setattr(cluster, "request_resources", lambda bundles: 1 / 0)
    with pytest.raises(RunError, match="gone"):
        run_line()
