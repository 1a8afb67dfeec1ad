"""Processes that hold a device are waited for."""

import os
import subprocess
import sys
import time

import pytest
import ray

from idgen.actors.cluster import _wait_for_pid, wait_for_end


def test_the_end_of_a_process_is_waited_for_and_not_for_ever():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        started = time.monotonic()
        assert not _wait_for_pid(process.pid, 0.3)
        assert time.monotonic() - started < 5
    assert _wait_for_pid(process.pid, 5)
    assert not _wait_for_pid(os.getpid(), 0.0)


@pytest.mark.cluster
def test_workers_that_nobody_holds_any_more_are_waited_for():
    class SlowToEnd:
        """Its process goes on after Ray has called it dead, as one that gives back a device's memory does."""

        def where(self):
            return ray.get_runtime_context().get_node_id(), os.getpid()

        def __ray_shutdown__(self):
            time.sleep(3)

    ray.init(address="local", num_cpus=1, include_dashboard=False, object_store_memory=128 * 2**20, log_to_driver=False)
    try:
        actor = ray.remote(SlowToEnd).remote()
        node, pid = ray.get(actor.where.remote())
        del actor
        assert not _wait_for_pid(pid, 0.0)
        wait_for_end([(node, pid), ("0" * 56, 1)])  # the second one's node has gone
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    finally:
        ray.shutdown()
