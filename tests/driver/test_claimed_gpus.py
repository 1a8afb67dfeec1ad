"""The job on Ray nodes that claim GPUs (sampling itself is on the CPU): all that Ray is told on a GPU machine.

Every run's summary is held to its rows, and every sampling process to the GPU that it saw.
"""

import importlib.util
import re
import threading
import time
from collections import Counter
from typing import NamedTuple

import pytest
from doubles.catalogue import ROOT, rows
from doubles.gpu_cluster import Shop, add_node, gpu_cluster

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
QUICK = ("planner.shard_seconds=8", "sampling.batch_size=4", "faces.num_cpus=0.25", "sampling.num_cpus=0.5")
"""Shards of eight rows, and actors of which two cores hold many."""


class Process(NamedTuple):
    """A sampling process."""

    pid: str
    node: str
    visible: str
    """CUDA_VISIBLE_DEVICES."""


class Run:
    """One run of `count` rows on a cluster, and which processes sampled."""

    def __init__(self, folder, cluster, count, *words, faults=None, **more):
        self.shop, self.where = Shop(folder, cluster), folder / "where"
        self.log = folder / "attempts"
        self.shop.write(rows(count, **more))
        told = {"where": str(self.where), "log": str(self.log), **(faults or {})}
        self.process = self.shop.start(*QUICK, *words, faults=told)
        self._text = []
        self._reader = threading.Thread(target=lambda: self._text.append(self.process.stdout.read()))
        self._reader.start()

    def wait_for(self, published, timeout_s=200):
        """Wait until that many ledger rows are there."""
        ends_at = time.monotonic() + timeout_s
        while len(self.shop.ledger()) < published:
            assert self.process.poll() is None, self._text
            assert time.monotonic() < ends_at, "nothing was published in time"
            time.sleep(0.2)

    def end(self, ok, timeout_s=300):
        """Wait for the end, in which `ok` pictures are there, none lost, none twice; return the summary."""
        try:
            assert self.process.wait(timeout_s) == 0, self._text
        finally:
            self.process.kill()
            self._reader.join()
        summary = self.shop.summary()
        assert (summary["asked"], summary["ok"]) == (ok, ok)
        assert Counter(self.shop.statuses().values()) == {"ok": ok}
        assert len(self.shop.ledger()) == ok
        assert summary["gpu_hours"] > 0
        return summary

    @property
    def processes(self):
        return {Process(*line.split()) for line in self.where.read_text().splitlines()}


def test_one_gpu_whose_actor_is_killed_is_taken_by_the_next(tmp_path):
    died = tmp_path / "died"
    once = {"file": str(died), "after": 11, "batch_size": 3}
    with gpu_cluster((2, 1)) as cluster:
        run = Run(tmp_path, cluster, 24, faults={"die_once": once})
        summary = run.end(24)
    assert died.exists()
    assert summary["worker_deaths"] == 1
    assert len(run.processes) == 2
    assert {process.visible for process in run.processes} == {"0"}, "never two at a time, never without"


def test_four_gpus_have_an_actor_each_that_sees_its_own(tmp_path):
    with gpu_cluster((4, 4)) as cluster:
        run = Run(tmp_path, cluster, 64, faults={"sleep_s": 0.4})
        summary = run.end(64)
    assert sorted(process.visible for process in run.processes) == ["0", "1", "2", "3"]
    assert summary["work"]["loads"] == 4


def test_two_nodes_of_different_sizes_beside_a_head_without_gpus_and_cpus(tmp_path):
    with gpu_cluster((0, 0), (1, 1), (2, 2)) as cluster:
        run = Run(tmp_path, cluster, 64, faults={"sleep_s": 0.4})
        run.end(64)
        head = cluster.head_node.node_id
    by_node = Counter(process.node for process in run.processes)
    assert sorted(by_node.values()) == [1, 2]
    assert head not in by_node


def test_half_a_gpu_an_actor_and_a_quarter_for_faces(tmp_path):
    words = ("sampling.num_gpus=0.4", "faces.num_gpus=0.2", "faces.device=cpu")
    with gpu_cluster((2, 1)) as cluster:
        run = Run(tmp_path, cluster, 32, *words, faults={"sleep_s": 0.4})
        run.end(32)
    assert len(run.processes) == 2
    assert {process.visible for process in run.processes} == {"0"}, "two on one card"


RECIPES = ("faceid-sd15", "kolors-faceid-plus", "faceid-plusv2-sdxl")


def test_more_recipes_than_gpus_and_the_text_encoder_on_the_same_gpu_before_them(tmp_path):
    texts = tmp_path / "texts"
    with gpu_cluster((2, 1)) as cluster:
        shop = Shop(tmp_path, cluster)
        shop.write([{**row, "recipe": RECIPES[at % 3]} for at, row in enumerate(rows(18))])
        shop.run(*QUICK, faults={"texts": {"log": str(texts)}})
    summary = shop.summary()
    assert (summary["ok"], summary["asked"]) == (18, 18)
    assert summary["work"]["loads"] == 3, "the one actor loads each recipe once"
    assert summary["work"]["text_loads"] == 1
    words = [line.split()[0] for line in texts.read_text().splitlines()]
    assert words.count("encoded") == 7
    assert "beside" not in words, "the text actor has left the GPU when sampling begins"


def test_a_gpu_node_that_joins_late_takes_part(tmp_path):
    with gpu_cluster((0, 0), (1, 1)) as cluster:
        run = Run(tmp_path, cluster, 64, faults={"sleep_s": 0.5})
        run.wait_for(8)
        late = add_node(cluster, 1, 1).node_id
        summary = run.end(64)
    assert late in {process.node for process in run.processes}
    assert summary["work"]["loads"] == 2


@pytest.mark.parametrize("words", [(), ("sampling.actors=2",)], ids=["as many as there are", "a fixed number"])
def test_a_gpu_node_that_is_lost_costs_its_batches_and_no_gpu_is_waited_for(tmp_path, words):
    with gpu_cluster((0, 0), (1, 1), (1, 1)) as cluster:
        run = Run(tmp_path, cluster, 48, *words, faults={"sleep_s": 0.4})
        run.wait_for(16)
        cluster.remove_node(cluster.list_all_nodes()[-1], allow_graceful=False)
        run.end(48)
    attempts = Counter(run.log.read_text().split())
    assert len(attempts) == 48
    assert attempts.total() <= 48 + 3 * 4, "the batches in hand, with those on their way out"


def test_the_demo_on_claimed_gpus_makes_what_it_makes_without(tmp_path):
    with gpu_cluster((2, 2)) as cluster:
        demo = Demo(tmp_path, cluster)
        demo.run()
    summary = demo.summary()
    assert (summary["asked"], summary["ok"], summary["rejected"]) == (61, 58, 3)
    assert summary["work"]["text_loads"] == 1
    assert 7 <= summary["work"]["loads"] <= 2 * 7, "each recipe at most once an actor"


class Demo(Shop):
    """The demo's own manifest and recipes."""

    def words(self, *more):
        demo = ("sampling.num_gpus=1", "sampling.device=cpu", "cluster.shared_output=true", "report.enabled=false")
        small = ("sampling.num_cpus=0.5", "faces.num_cpus=0.25")
        return [str(ROOT / "configs" / "demo.yaml"), f"output={self.output}", *demo, *small, *more]


def test_a_machine_whose_gpus_are_all_taken_says_so_and_what_to_do(tmp_path):
    with gpu_cluster((2, 0)) as cluster:
        shop = Shop(tmp_path, cluster)
        shop.write(rows(2))
        text = shop.run("cluster.wait_s=3", expect=6)
    assert "the cluster has 0 GPUs, the sampling actors need 1 (on a machine without one: sampling.num_gpus=0)" in text
    assert shop.summary()["exit_code"] == 6


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("sampling.device=cuda",), "error: torch 2.*built for the CPU only, sees no GPU for device cuda; CUDA_VISIB"),
        (("sampling.num_gpus=0.5", "faces.num_gpus=0.5"), "error: faces are to be analysed on a GPU, but onnxruntime"),
    ],
    ids=["torch", "onnxruntime"],
)
@pytest.mark.skipif(importlib.util.find_spec("nvidia") is not None, reason="the libraries here have CUDA")
def test_an_actor_whose_library_has_no_cuda_ends_the_run_in_one_line(tmp_path, words, message):
    with gpu_cluster((2, 1)) as cluster:
        shop = Shop(tmp_path, cluster)
        shop.write(rows(2))
        text = shop.run(*words, expect=2)
    assert re.search(message, text)
    assert "Traceback" not in text
    assert len(text.splitlines()) < 12
    assert shop.summary()["exit_code"] == 2
