"""The line as Ray Data runs it on a GPU: one shard is one row is one block is one task."""

import os
import re
import sys
import threading
import time
from dataclasses import dataclass

import pyarrow as pa
import pytest
import ray

from idgen import pipeline
from idgen.actors.packing import pack, unpack
from idgen.actors.pool_sizes import Pool, Pools
from idgen.actors.pool_state import LineLeftError, PoolState
from idgen.schemas import ANALYSED, COUNTS

ROWS = (5, 1, 9, 2, 9, 3, 256, 1, 4, 4, 7, 8)


@dataclass
class Part:
    """What the line is given for a shard."""

    name: str
    rows: int


class Analysing:
    """Makes a shard of as many rows as its item says."""

    def __init__(self, run, settings, monitor):
        pass

    def __call__(self, item):
        name, rows = item["name"][0].as_py(), item["rows"][0].as_py()
        empty = {field.name: "" for field in ANALYSED if field.type == pa.string() and not field.nullable}
        fixed = {**empty, "shard": name, "image_index": 0, "attempt": 1, "crops": [("face", [b"\1" * 50_000])]}
        return pack(pa.Table.from_pylist([{**fixed, "position": at, "key": str(at)} for at in range(rows)], ANALYSED))


class Sampling:
    """Counts the rows of what one call was given; says which GPU it has by the shard's name."""

    def __init__(self, run, settings, monitor):
        self.gpu = os.environ.get("CUDA_VISIBLE_DEVICES", "")

    def __call__(self, item):
        time.sleep(0.3)  # so that each actor gets some
        table = unpack(item)
        (shard,) = set(table["shard"].to_pylist())
        return pa.table([[value] for value in (f"{shard} {self.gpu}", len(table), 0, 0, 0, 0.0)], schema=COUNTS)


def until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture(scope="module")
def two_gpus():
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import tests
    ray.init(
        address="local", num_cpus=2, num_gpus=2, include_dashboard=False, object_store_memory=128 * 2**20,
        log_to_driver=False,
    )  # fmt: skip
    yield
    ray.shutdown()


@pytest.mark.cluster
@pytest.mark.parametrize("gpus", [1.0, 0.5, 0.0])
def test_one_shard_is_one_task_with_gpus_and_without(monkeypatch, two_gpus, gpus):
    monkeypatch.setattr(pipeline, "Faces", Analysing)
    monkeypatch.setattr(pipeline, "Sampling", Sampling)
    pools = Pools(
        faces=Pool(actors=1, at_least=1, cpus=0.5),
        sampling=Pool(actors=2, at_least=2, cpus=0.5, gpus=gpus),
    )
    line = pipeline.Line(run=None, faces=None, sampler=None, pools=pools, monitor=None, no_progress_timeout_s=600)
    parts = [Part(f"s{at}", rows) for at, rows in enumerate(ROWS)]
    done = pipeline.sampled(parts, line).materialize()
    found = [(row["shard"].split()[0], row["rows"]) for row in done.iter_rows()]
    used = {row["shard"].partition(" ")[2] for row in done.iter_rows()}
    assert found == [(part.name, part.rows) for part in parts], "in the plan's order, none cut and none joined"
    # as Ray 2.60 words it
    assert re.findall(r"\((\w+)\): (\d+) tasks executed, (\d+) blocks produced", done.stats()) == [
        ("Analysing", "12", "12"),
        ("Sampling", "12", "12"),
    ]
    assert used == {1.0: {"0", "1"}, 0.5: {"0"}, 0.0: {""}}[gpus], "an actor sees the GPU that it claimed, and no other"


@pytest.mark.cluster
@pytest.mark.slow
def test_a_line_that_ray_has_no_room_for_says_so_and_ends_when_a_stop_is_asked_for(monkeypatch, two_gpus):
    monkeypatch.setattr(pipeline, "Faces", Analysing)
    monkeypatch.setattr(pipeline, "Sampling", Sampling)
    pools = Pools(faces=Pool(actors=1, at_least=1, cpus=0.5), sampling=Pool(actors=1, at_least=1, cpus=0.5, gpus=1))
    other = ray.remote(num_cpus=0, num_gpus=2)(lambda: time.sleep(600)).remote()
    told = []

    def stopping():
        told.append(pool_state.waiting)
        return bool(pool_state.waiting)

    pool_state = PoolState(stopping)
    line = pipeline.Line(
        run=None, faces=None, sampler=None, pools=pools, monitor=None, no_progress_timeout_s=600, pool_state=pool_state
    )
    before = set(threading.enumerate())
    try:
        with pytest.raises(LineLeftError):
            list(pipeline.run([Part("s0", 1), Part("s1", 2)], line))
    finally:
        ray.cancel(other, force=True)
    assert told[-1] == "waiting for 0.5 CPUs and 1 GPU: no sampling actor has a place yet"
    until(lambda: not [one for one in set(threading.enumerate()) - before if "Executor" in one.name])
    until(lambda: ray.available_resources().get("GPU") == 2)


@pytest.mark.cluster
@pytest.mark.slow
def test_an_actor_that_is_slow_to_start_has_a_place(monkeypatch, two_gpus, tmp_path):
    begun = tmp_path / "begun"

    class Sampling:
        def __init__(self, run, settings, monitor):
            begun.touch()
            time.sleep(12)

        def __call__(self, item):
            return pa.table([[value] for value in ("s", len(unpack(item)), 0, 0, 0, 0.0)], schema=COUNTS)

    monkeypatch.setattr(pipeline, "Faces", Analysing)
    monkeypatch.setattr(pipeline, "Sampling", Sampling)
    told = []

    class Told(PoolState):
        def look(self, pools):
            # its process needs a moment, more on a busy machine; from then on it has its place
            has_process = begun.exists()
            super().look(pools)
            if has_process:
                told.append(self.waiting)

    pools = Pools(faces=Pool(actors=1, at_least=1, cpus=0.5), sampling=Pool(actors=1, at_least=1, cpus=0.5, gpus=1))
    line = pipeline.Line(
        run=None, faces=None, sampler=None, pools=pools, monitor=None, no_progress_timeout_s=600, pool_state=Told()
    )
    assert [row["rows"] for row in pipeline.run([Part("s0", 3)], line)] == [3]
    assert len(told) > 8
    assert set(told) == {""}
