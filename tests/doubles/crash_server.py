"""Jobs in forked processes that end, like a kill -9, before a change of the store that a test names.

One process imports everything once and forks for each job: a job takes a second. The line runs in the driver's own
process (no Ray), with the product's actors, stores, planner and ledger, and pictures without networks. A dead
driver's lease is taken at once.

    with CrashServer(environment) as jobs:
        code, changes = jobs.run(words, before="put lease.json")
"""

import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

PATHS = Path(__file__).parents[1]
CRASHED = 137
_TIME = re.compile(r"\d{8}T\d{6}\.\d+Z")
RENEW_S = 1.0


class CrashServer:
    """The parent of such jobs, as tests use it."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder = folder
        self._environment = environment

    def __enter__(self) -> "CrashServer":
        path = f"{PATHS.parent}:{PATHS}"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "doubles.crash_server"],
            env={**os.environ, **self._environment, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_) -> None:
        self._process.kill()
        self._process.communicate()

    def run(self, words, before=""):
        """Run generate; end before the change `before`. Return exit code, changes of the store, what was printed."""
        log, printed = self._folder / "changes", self._folder / "printed"
        log.write_text("")
        order = {"words": words, "before": before, "log": str(log), "printed": str(printed)}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        code = int(self._process.stdout.readline())
        return code, log.read_text().splitlines(), printed.read_text()


def serve() -> None:
    """Fork for each order on stdin and print its exit code."""
    _import()
    for line in sys.stdin:
        child = os.fork()
        if not child:
            os._exit(_job(json.loads(line)))
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _import() -> None:
    """Bring what every job needs, and put the line into the driver's process."""
    from doubles import quick_sampler

    for part in ("actors.faces", "actors.sampler", "report.gallery", "report.thumbnails", "driver.run", "driver.line"):
        importlib.import_module(f"idgen.{part}")
    from idgen import pipeline
    from idgen.actors import cluster
    from idgen.actors.monitor import MonitorState
    from idgen.actors.pool_sizes import Pool, Pools
    from idgen.outputs.lease import Lease

    quick_sampler.install(0.0)
    one = Pool(actors=1, at_least=1, cpus=1)
    cluster.connect = lambda *_: None
    cluster.release = lambda *_: None
    cluster.start_monitor = lambda run: MonitorState(run.breaker_failures, run.max_extra_pictures)
    cluster.pools = lambda *_: Pools(faces=one, sampling=one)
    cluster.check_output = lambda *_, **how: None
    pipeline.run = _run_here
    Lease.__init__.__kwdefaults__.update(renew_s=RENEW_S)
    Lease._watch = lambda self, found: None


def _run_here(shards, line):
    """`pipeline.run` in this process."""
    from dataclasses import asdict

    import pyarrow as pa

    from idgen.actors.faces import FaceActor
    from idgen.actors.sampler import SamplerActor

    faces = FaceActor(line.run, line.faces, line.monitor)
    sampler = SamplerActor(line.run, line.sampler, line.monitor)
    for shard in shards:
        yield from sampler(faces(pa.Table.from_pylist([asdict(shard)]))).to_pylist()


def _job(order) -> int:
    from idgen.command import main
    from idgen.driver.run import generate_job

    out = os.open(order["printed"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(out, 1)
    os.dup2(out, 2)
    _watch_stores(order["before"], order["log"])
    try:
        return int(main("", generate_job, order["words"]))
    except BaseException:
        import traceback

        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def _watch_stores(before, log):
    """Write down each change and its count so far; end before the named one."""
    import threading

    from idgen.stores.local import LocalStore
    from idgen.stores.s3 import S3Store

    lock, seen = threading.Lock(), {}

    def note(name, path):
        with lock:
            seen[path, name] = seen.get((path, name), 0) + 1
            step = _TIME.sub("TIME", f"{name} {path} {seen[path, name]}")
            if step == before:
                os._exit(CRASHED)
            with open(log, "a", encoding="utf-8") as file:
                file.write(f"{step}\n")

    for kind in (LocalStore, S3Store):
        for name in ("put", "put_file", "copy", "delete"):
            _wrap(kind, name, note)


def _wrap(kind, name, note):
    method = getattr(kind, name)

    def call(self, *arguments, **options):
        if name == "delete":
            for path in arguments[0]:
                note(name, path)
                method(self, [path])
            return None
        note(name, arguments[-1] if name == "copy" else arguments[0])
        return method(self, *arguments, **options)

    setattr(kind, name, call)


if __name__ == "__main__":
    serve()
