"""The Ray cluster: start or join it, and check that the line fits before anything runs."""

import logging
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import ray
from ray.autoscaler.sdk import request_resources
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from idgen.actors.monitor import MonitorState
from idgen.actors.remote_monitor import RemoteMonitor
from idgen.config import Config
from idgen.errors import Exit, RunError
from idgen.stores.protocol import ObjectStore

log = logging.getLogger(__name__)

LOCAL_OBJECT_STORE_BYTES = 2**30  # rows with their crops and input images: two of the largest shards (shards.py)
PROMPTS_PER_ACTOR = 1024
"""Loading a text encoder takes about as long as encoding that many prompts."""
ENDS_WITHIN_S = 60.0
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Pool:
    """How many actors of one kind, and what one of them asks for."""

    actors: int
    """At most; fewer where an autoscaled cluster has not grown yet."""
    at_least: int
    cpus: float
    gpus: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Pools:
    """The line's two."""

    faces: Pool
    sampling: Pool


def connect(config: Config) -> None:
    """Join the cluster of this job, or start a local one. Raises RunError(UNAVAILABLE) when it cannot be reached."""
    if ray.is_initialized():
        return
    address = config.cluster.address or os.environ.get("RAY_ADDRESS", "")
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    logging.getLogger("ray").setLevel(logging.ERROR)
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        if address and address != "local":
            ray.init(address=address, **quiet)
        else:
            # Ray Data's actors make the core log a known warning as an error (ray issue 53727); people would see it
            os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
            ray.init(
                address="local",
                num_cpus=config.cluster.num_cpus or None,
                include_dashboard=False,
                object_store_memory=LOCAL_OBJECT_STORE_BYTES,
                **quiet,
            )
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise RunError(Exit.UNAVAILABLE, f"no Ray cluster at {address or 'this machine'}: {error}") from error


def start_monitor(breaker_failures: int) -> RemoteMonitor:
    """Return a new run's monitor: no CPU of its own, on the driver's node, never restarted (its marks are memory)."""
    here = ray.get_runtime_context().get_node_id()
    strategy = NodeAffinitySchedulingStrategy(here, soft=False)
    actor = ray.remote(MonitorState).options(num_cpus=0, scheduling_strategy=strategy)
    return RemoteMonitor(actor.remote(breaker_failures))


def pools(config: Config, shards: int, check_stop: Callable[[], None] = lambda: None) -> Pools:
    """Return the pool sizes for this cluster, once it is large enough.

    Waits `cluster.wait_s` on a cluster that may still grow; `check_stop` raises to end the wait. Raises
    RunError(UNAVAILABLE) that says what is missing.
    """
    return _wait(config, lambda *there: _sized(config, shards, *there), _missing, lambda p: p.sampling, check_stop)


def text_pool(config: Config, prompts: int, check_stop: Callable[[], None] = lambda: None) -> Pool:
    """Return the size of the pool that encodes `prompts` prompts, as `pools` does; nothing else runs beside it."""
    return _wait(config, lambda *there: _sized_texts(config, prompts, *there), _missing_texts, lambda p: p, check_stop)


def wait_for_end(workers: Iterable[tuple[str, int]]) -> None:
    """Wait until processes (node, pid) are gone, and with them their hold on the devices, but not for ever.

    Ray calls an actor dead as soon as nobody holds it: its process may go on for seconds.
    """
    look = ray.remote(_wait_for_pid)
    for answer in [
        look.options(
            num_cpus=0, max_retries=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)
        ).remote(pid, ENDS_WITHIN_S)
        for node, pid in workers
    ]:
        try:
            if not ray.get(answer, timeout=2 * ENDS_WITHIN_S):
                log.warning("a text actor has not ended after %.0f s", ENDS_WITHIN_S)
        except Exception:  # its node is gone, and the process with it
            log.info("nobody can tell whether a text actor has ended", exc_info=True)


def release() -> None:
    """Take back the request for nodes, which would keep them up after the run. Raises nothing: it is called last."""
    try:
        request_resources(bundles=[])
    except Exception:  # how the run ended matters more
        log.warning("the request for nodes could not be taken back", exc_info=True)


def check_output(store: ObjectStore, *, shared: bool) -> None:
    """Raise RunError(USAGE) when the output is a local folder that only one of several nodes would see."""
    nodes = sum(1 for node in ray.nodes() if node["Alive"])
    if "://" not in store.root and nodes > 1 and not shared:
        raise RunError(
            Exit.USAGE,
            f"output {store.root} is a local folder but the cluster has {nodes} nodes: use s3://, "
            "or set cluster.shared_output=true when all of them see that folder",
        )


def _sized(config: Config, shards: int, cluster: dict[str, float], largest: dict[str, float]) -> Pools:
    """`cluster` is what is there, `largest` what an autoscaler may make of it ({} when it says nothing)."""
    gpus_each = config.sampling.num_gpus
    there = int(cluster.get("GPU", 0) / gpus_each) if gpus_each > 0 else 1
    later = int(largest.get("GPU", 0) / gpus_each) if gpus_each > 0 else 1
    sampling = min(config.sampling.actors or max(1, there, later), max(1, shards))
    at_least = sampling if config.sampling.actors else min(max(1, there), sampling)
    faces = min(config.faces.actors or (sampling + 1) // 2, max(1, shards))
    faces_at_least = min(faces, config.faces.actors or (at_least + 1) // 2)
    return Pools(
        faces=Pool(actors=faces, at_least=faces_at_least, cpus=config.faces.num_cpus),
        sampling=Pool(actors=sampling, at_least=at_least, cpus=config.sampling.num_cpus, gpus=gpus_each),
    )


def _wait(
    config: Config,
    size: Callable[[dict[str, float], dict[str, float]], T],
    missing_for: Callable[[T, list[dict[str, Any]]], str],
    dear: Callable[[T], Pool],
    check_stop: Callable[[], None],
) -> T:
    """Return what `size` makes of a cluster once nothing is missing for it; ask an autoscaler for its `dear` pool."""
    may_grow = _may_grow(config)
    deadline = time.monotonic() + (config.cluster.wait_s if may_grow else 0)
    asked = False
    while True:
        sized = size(ray.cluster_resources(), _largest() if may_grow else {})
        missing = missing_for(sized, [node for node in ray.nodes() if node["Alive"]])
        if not missing:
            return sized
        if time.monotonic() >= deadline:
            raise RunError(Exit.UNAVAILABLE, missing)
        if not asked:  # an autoscaler that stands at zero at night starts nodes only when somebody asks
            log.warning("waiting up to %.0f s: %s", config.cluster.wait_s, missing)
            request_resources(bundles=[_bundle(dear(sized))] * dear(sized).at_least)
            asked = True
        check_stop()
        time.sleep(2)


def _sized_texts(config: Config, prompts: int, cluster: dict[str, float], largest: dict[str, float]) -> Pool:
    texts, sampling = config.texts, config.sampling
    gpus_each = sampling.num_gpus if texts.num_gpus is None else texts.num_gpus
    there, later = (int(of.get("GPU", 0) / gpus_each) if gpus_each > 0 else 1 for of in (cluster, largest))
    useful = -(-prompts // PROMPTS_PER_ACTOR)
    actors = texts.actors or min(useful, max(1, there, later))
    return Pool(
        actors=actors,
        at_least=texts.actors or min(actors, max(1, there)),
        cpus=sampling.num_cpus if texts.num_cpus is None else texts.num_cpus,
        gpus=gpus_each,
    )


def _missing_texts(pool: Pool, nodes: list[dict[str, Any]]) -> str:
    """As `_missing`, for the pool that encodes prompts ahead."""
    if fitting := sum(_fitting(node["Resources"], pool) for node in nodes):
        return "" if fitting >= pool.at_least else f"the cluster has room for {fitting} of {pool.at_least} text actors"
    return (
        f"no node has the {pool.cpus:g} CPUs and {pool.gpus:g} GPUs of an actor that encodes prompts ahead: set "
        "texts.num_cpus or texts.num_gpus, or base.text=inline in the recipe"
    )


def _fitting(resources: dict[str, float], pool: Pool) -> int:
    """How many actors of `pool` fit a node."""
    wanted = {"CPU": pool.cpus, "GPU": pool.gpus}
    return int(min((resources.get(name, 0) / each for name, each in wanted.items() if each > 0), default=pool.at_least))


def _wait_for_pid(pid: int, seconds: float) -> bool:
    """Return whether a process of this node ended in time."""
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


def _missing(pools: Pools, nodes: list[dict[str, Any]]) -> str:
    """What the cluster lacks, in words, or ""."""
    cpus = sum(node["Resources"].get("CPU", 0) for node in nodes)
    gpus = sum(node["Resources"].get("GPU", 0) for node in nodes)
    faces, sampling = pools.faces, pools.sampling
    need_cpus = faces.at_least * faces.cpus + sampling.at_least * sampling.cpus
    need_gpus = sampling.at_least * sampling.gpus
    if need_gpus > gpus:
        hint = " (on a machine without one: sampling.num_gpus=0)" if gpus == 0 else ""
        return f"the cluster has {gpus:g} GPUs, the sampling actors need {need_gpus:g}{hint}"
    if need_cpus > cpus:
        return f"the cluster has {cpus:g} CPUs, the actors need {need_cpus:g}: set faces.num_cpus or sampling.num_cpus"
    fits = any(
        node["Resources"].get("CPU", 0) >= sampling.cpus and node["Resources"].get("GPU", 0) >= sampling.gpus
        for node in nodes
    )
    return "" if fits else "no single node has the CPUs and GPUs of one sampling actor"


def _bundle(pool: Pool) -> dict[str, float]:
    return {"CPU": pool.cpus} | ({"GPU": pool.gpus} if pool.gpus else {})


def _may_grow(config: Config) -> bool:
    """A local cluster of this process has what it has; a joined one may be autoscaled."""
    return config.cluster.address != "local" and bool(config.cluster.address or os.environ.get("RAY_ADDRESS"))


def _largest() -> dict[str, float]:
    """What the cluster may grow to, as far as its autoscaler says."""
    return ray._private.state.state.get_max_resources_from_cluster_config() or {}
