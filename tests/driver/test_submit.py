"""`ray job submit` and `ray job stop` against a cluster that was started by `ray start --head`."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from doubles.catalogue import ROOT, Catalogue, rows

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
RAY = str(Path(sys.executable).with_name("ray"))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """(environment, address) of a head node; jobs' `python` is this one."""
    gcs, dashboard, agent = free_port(), free_port(), free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_worker_niceness": "0"}
    temp = Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))  # Ray's sockets lie in it: 107 letters are all they may have
    start = [
        RAY, "start", "--head", "--block", f"--port={gcs}", f"--dashboard-port={dashboard}", "--num-cpus=2",
        "--include-dashboard=true", f"--dashboard-agent-listen-port={agent}", "--object-store-memory=134217728",
        "--disable-usage-stats", f"--temp-dir={temp}",
    ]  # fmt: skip
    # --block: its end ends this cluster and no other; `ray stop` would end every cluster of the machine
    said = tmp_path_factory.mktemp("ray") / "ray.log"
    with said.open("w") as log:
        head = subprocess.Popen(start, env=environment, stdout=log, stderr=subprocess.STDOUT)
    environment["RAY_API_SERVER_ADDRESS"] = f"http://127.0.0.1:{dashboard}"
    deadline = time.monotonic() + 120
    while ray_job(environment, "list").returncode != 0:
        assert head.poll() is None, said.read_text()[-3000:]
        assert time.monotonic() < deadline, "the job server did not come up"
        time.sleep(1)
    yield environment
    head.terminate()
    head.wait(60)
    shutil.rmtree(temp, ignore_errors=True)


def ray_job(environment, *words, timeout=300):
    return subprocess.run(
        [RAY, "job", *words], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=timeout
    )


def submit(environment, shop, *more, wait=True, name):
    stop_wait = '{"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": "60"}}'
    words = [word.replace(str(ROOT) + "/configs", "configs") for word in shop.words(*more)]
    options = ["--submission-id", name, "--working-dir", ".", "--runtime-env-json", stop_wait]
    options += [] if wait else ["--no-wait"]
    return ray_job(environment, "submit", *options, "--", "python", "jobs/generate.py", *words)


def test_a_submitted_job_is_stopped_in_order_and_the_next_one_goes_on(cluster, tmp_path):
    shop = Catalogue(tmp_path)
    shop.write(rows(30))
    slow = (
        "sampling.batch_size=1",
        "planner.shard_seconds=10",
        "overrides.faceid-sd15.defaults.num_inference_steps=30",
    )
    started = submit(cluster, shop, *slow, wait=False, name="first")
    assert started.returncode == 0, started.stderr
    deadline = time.monotonic() + 240
    while len(shop.ledger()) < 2:
        assert time.monotonic() < deadline, ray_job(cluster, "logs", "first").stdout[-4000:]
        time.sleep(0.5)
    stopped = ray_job(cluster, "stop", "first")
    assert stopped.returncode == 0, stopped.stderr
    summary = shop.summary()
    assert summary["exit_code"] == 5
    assert summary["stop_reason"] == "SIGTERM"
    done = len(shop.ledger())
    assert summary["unfinished"] == 30 - done > 0
    limited = submit(cluster, shop, *slow, "select.limit=8", name="second")
    assert limited.returncode == 0, limited.stdout[-4000:] + limited.stderr[-2000:]
    assert {row["status"] for row in shop.results().values()} <= {"ok", "skipped"}
    assert len(shop.results()) == 8
    assert len(shop.ledger()) == len(shop.statuses()), "none made twice"


def test_a_relative_output_is_refused_inside_a_job(cluster, tmp_path):
    shop = Catalogue(tmp_path, "output/somewhere")
    shop.write(rows(1))
    refused = submit(cluster, shop, name="relative")
    assert refused.returncode != 0
    assert "relative" in refused.stdout
