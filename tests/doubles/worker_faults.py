"""Faults inside real Ray workers, without a hook in the product: Ray runs `install` when a worker process starts.

Wraps `SampleRow.from_picture`, which the sampling actor calls for each row inside an attempt (and which needs no
torch). What to do stands in the environment as JSON under IDGEN_TEST_FAULTS:

    log         file to which each attempted key is appended, one a line
    die_on      prompts that end the process at once, like a segfault
    hang_on     prompts that never come back
    die_once    {"file": path, "after": n, "batch_size": b}: the first process to attempt its n-th row dies; the file
                remembers, and processes that start later take batches of b rows
    sleep_s     slows every row
    quick_s     pictures are made without networks (quick_sampler.py), a batch in so many seconds
    where       file to which each attempted row's process, node and CUDA_VISIBLE_DEVICES are appended
    die_on_size a photo of that many bytes ends the process that decodes it; hang_on_size: it never comes back
    store_away  "made": actors find no store when they are made; "called": the sampling actor's goes in its first call
    remove      a file that is gone once workers start
    lacks       a library that no worker can import
    texts       {"log": path, "die_on": prompts, "sleep_s": n}: as above, for prompts that are encoded ahead, in a
                process that has marked the attempt. Logs process and prompt's digest; and for each row that is
                sampled, which of those processes are still there
"""

import json
import os
import sys
import time
from pathlib import Path

import ray
from doubles import quick_sampler

ENVIRONMENT = "IDGEN_TEST_FAULTS"
_attempts = 0


def install() -> None:
    """Wrap what the sampling actor calls per row."""
    faults = json.loads(os.environ.get(ENVIRONMENT, "{}"))
    if not faults:
        return
    if "lacks" in faults:
        sys.modules[faults["lacks"]] = None
    from idgen.sampling import batches
    from idgen.sampling.rows import SampleRow

    once = faults.get("die_once", {})
    if "batch_size" in once and Path(once["file"]).exists():
        batches.BatchSize.rows = lambda self, bucket: min(self._rows, once["batch_size"])

    if "quick_s" in faults:
        quick_sampler.install(faults["quick_s"])
    if "store_away" in faults:
        _take_store_away(faults["store_away"])
    if "remove" in faults:
        Path(faults["remove"]).unlink(missing_ok=True)
    _wrap_decoder(faults.get("die_on_size"), faults.get("hang_on_size"))
    _wrap_text_attempts(faults.get("texts"))
    original = SampleRow.from_picture.__func__

    def from_picture(cls, picture):
        _act(faults, picture)
        return original(cls, picture)

    SampleRow.from_picture = classmethod(from_picture)


def _take_store_away(when):
    from idgen.actors import facts, sampler
    from idgen.stores.protocol import StoreError

    def away(*_):
        raise StoreError("not today")

    if when == "made":
        facts.open_store = away
    else:
        sampler.Publisher.close = away


def _wrap_decoder(fatal_size, hanging_size):
    if fatal_size is hanging_size is None:
        return
    from idgen.faces import file_analysis

    original = file_analysis.decode

    def decode(data, *rest):
        if len(data) == fatal_size:
            os._exit(139)
        if len(data) == hanging_size:
            time.sleep(3600)
        return original(data, *rest)

    file_analysis.decode = decode


def _wrap_text_attempts(faults):
    if faults is None:
        return
    from idgen.actors.remote_monitor import RemoteMonitor
    from idgen.outputs.encoded_prompts import digest

    original = RemoteMonitor.begin
    fatal = {digest(prompt) for prompt in faults.get("die_on", ())}

    def begin(self, stage, shard, keys):
        stop = original(self, stage, shard, keys)
        if stage == "texts" and not stop:
            _write(faults["log"], f"encoded {os.getpid()} {keys[0]}")
            time.sleep(faults.get("sleep_s", 0))
            if keys[0] in fatal:
                os._exit(139)
        return stop

    RemoteMonitor.begin = begin


def _log_text_processes(log):
    for line in Path(log).read_text().splitlines():
        what, pid, *_ = line.split()
        if what == "encoded" and Path(f"/proc/{pid}").exists():
            _write(log, f"beside {pid}")


def _write(path, line):
    with open(path, "a", encoding="utf-8") as file:
        file.write(f"{line}\n")


def _act(faults, picture):
    global _attempts
    _attempts += 1
    if "log" in faults:
        _write(faults["log"], picture["key"])
    if "where" in faults:
        node = ray.get_runtime_context().get_node_id()
        _write(faults["where"], f"{os.getpid()} {node} {os.environ.get('CUDA_VISIBLE_DEVICES', '-') or '-'}")
    if "texts" in faults:
        _log_text_processes(faults["texts"]["log"])
    if picture["prompt"] in faults.get("die_on", ()):
        os._exit(139)
    if picture["prompt"] in faults.get("hang_on", ()):
        time.sleep(3600)
    once = faults.get("die_once")
    if once and _attempts >= once["after"] and not Path(once["file"]).exists():
        Path(once["file"]).touch()
        os._exit(137)
    time.sleep(faults.get("sleep_s", 0))
