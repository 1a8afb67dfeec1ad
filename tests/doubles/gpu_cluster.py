"""A Ray cluster on this machine whose nodes claim GPUs that it lacks: what Ray is told is what a GPU machine tells.

Ray counts what a node claims, places actors by it and sets CUDA_VISIBLE_DEVICES; only the device is the CPU.
"""

import contextlib
import os
from collections.abc import Iterator
from unittest.mock import patch

from doubles.catalogue import ROOT, Catalogue
from ray.cluster_utils import Cluster

ON_CPU = ("sampling.num_gpus=1", "sampling.device=cpu", "cluster.shared_output=true")
PATHS = f"{ROOT}:{ROOT / 'tests'}"
"""Where workers find the product and the tests' faults."""
STORE_BYTES = 128 * 2**20


@contextlib.contextmanager
def gpu_cluster(*nodes: tuple[float, float]) -> Iterator[Cluster]:
    """Start a cluster of nodes with (CPUs, GPUs) each, the head first; stop it at the end."""
    (cpus, gpus), *others = nodes
    cluster = Cluster()
    try:
        add_node(cluster, cpus, gpus)
        for cpus, gpus in others:
            add_node(cluster, cpus, gpus)
        yield cluster
    finally:
        cluster.shutdown()


def add_node(cluster, cpus, gpus):
    """Start one more node and return it."""
    with patch.dict(os.environ, PYTHONPATH=PATHS):
        return cluster.add_node(**_node(cpus, gpus))


def _node(cpus, gpus):
    return {"num_cpus": cpus, "num_gpus": gpus, "object_store_memory": STORE_BYTES, "include_dashboard": False}


class Shop(Catalogue):
    """A catalogue whose jobs join a cluster."""

    def __init__(self, folder, cluster):
        super().__init__(folder)
        self.address = cluster.address

    def words(self, *more):
        """On GPUs that are claimed."""
        return super().words(*ON_CPU, *more)
