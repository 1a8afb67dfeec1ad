"""The Ray cluster: start or join it, and check that the line fits before anything runs."""

import logging
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

import ray
from ray.actor import ActorHandle
from ray.autoscaler.sdk import request_resources
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from idgen.actors.cluster_address import address_of, short_temp_folder, wait_for_answer
from idgen.actors.monitor import MonitorState
from idgen.actors.pool_sizes import Node, Pool, Pools, missing, missing_texts, size_pools, size_text_pool
from idgen.actors.pool_state import PoolState
from idgen.actors.remote_monitor import RemoteMonitor
from idgen.config import Config, RunConfig
from idgen.errors import MAX_DETAIL_CHARS, Exit, RunError
from idgen.stores.protocol import ObjectStore

log = logging.getLogger(__name__)

LOCAL_OBJECT_STORE_BYTES = 2**30  # rows with their crops and input images: two of the largest shards (shards.py)
ENDS_WITHIN_S = 60.0
T = TypeVar("T")


def connect(config: Config, check_stop: Callable[[], None] = lambda: None) -> None:
    """Join the cluster of this job, or start a local one; `check_stop` raises to end the wait for it.

    Raises RunError: UNAVAILABLE when it cannot be reached or started, USAGE when the address is not one.
    """
    logging.getLogger("ray").setLevel(logging.ERROR)
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # an actor's error is raised too, and told once by the job
    if ray.is_initialized():
        return
    address = address_of(config.cluster)
    if address and address != "auto":
        wait_for_answer(address, config.cluster.wait_s, check_stop)
    # Ray Data's actors make the core log a known warning as an error (ray issue 53727); people would see it
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        if address:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        else:
            ray.init(
                address="local",
                num_cpus=config.cluster.num_cpus or None,
                include_dashboard=False,
                object_store_memory=LOCAL_OBJECT_STORE_BYTES,
                _temp_dir=short_temp_folder(),
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
    except Exception as error:  # Ray raises what comes: OSError, plain Exception, its own
        said = " ".join(str(error).split())[:MAX_DETAIL_CHARS] or type(error).__name__
        if address not in ("", "auto") and isinstance(error, ConnectionError):  # somebody answered there before
            said += " (does it need a token: RAY_AUTH_MODE and RAY_AUTH_TOKEN? does it run this version of Ray?)"
        raise RunError(Exit.UNAVAILABLE, f"no Ray cluster at {address or 'this machine'}: {said}") from error


def start_monitor(run: RunConfig) -> RemoteMonitor:
    """Return a new run's monitor: no CPU of its own, on the driver's node, never restarted (its marks are memory)."""
    here = ray.get_runtime_context().get_node_id()
    strategy = NodeAffinitySchedulingStrategy(here, soft=False)
    actor = ray.remote(MonitorState).options(num_cpus=0, scheduling_strategy=strategy)
    return RemoteMonitor(cast("ActorHandle[MonitorState]", actor.remote(run.breaker_failures, run.max_extra_pictures)))


def pools(config: Config, shards: int, pool_state: PoolState, check_stop: Callable[[], None]) -> Pools:
    """Return the pool sizes for this cluster, once it is large enough.

    Waits `cluster.wait_s` on a cluster that may still grow, and tells `pool_state`; `check_stop` raises to end it.
    Raises RunError(UNAVAILABLE) that says what is missing.
    """
    return _wait(
        _Wait(config, pool_state, check_stop), lambda *there: size_pools(config, shards, *there), missing, _dear
    )


def text_pool(config: Config, prompts: int, pool_state: PoolState, check_stop: Callable[[], None]) -> Pool:
    """Return the size of the pool that encodes `prompts` prompts, as `pools` does; nothing else runs beside it."""
    wait = _Wait(config, pool_state, check_stop)
    return _wait(wait, lambda *there: size_text_pool(config, prompts, *there), missing_texts, lambda pool: pool)


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
            log.info("it is unknown whether a text actor has ended", exc_info=True)


def release() -> None:
    """Take back the request for nodes, which would keep them up after the run. Raises nothing: it is called last."""
    try:
        request_resources(bundles=[])
    except Exception:  # how the run ended matters more
        log.warning("the request for nodes could not be withdrawn", exc_info=True)


def check_output(store: ObjectStore, *, shared: bool) -> None:
    """Raise RunError(USAGE) when the output is a local folder that only one of several nodes would see."""
    nodes = len(_live_nodes())
    if "://" not in store.root and nodes > 1 and not shared:
        raise RunError(
            Exit.USAGE,
            f"output {store.root} is a local folder but the cluster has {nodes} nodes: use s3://, "
            "or set cluster.shared_output=true when all of them see that folder",
        )


def _live_nodes() -> list[Node]:
    """Return the resources of each node that is up."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class _Wait:
    """For whom the cluster is waited for."""

    config: Config
    pool_state: PoolState
    check_stop: Callable[[], None]


def _dear(pools: Pools) -> Pool:
    return pools.sampling


def _wait(
    wait: _Wait,
    size: Callable[[Sequence[Node], float | None], T],
    missing_for: Callable[[T, Sequence[Node]], str],
    dear: Callable[[T], Pool],
) -> T:
    """Return what `size` makes of a cluster once nothing is missing for it; ask an autoscaler for its `dear` pool."""
    may_grow = _may_grow(wait.config)
    wait_s = wait.config.cluster.wait_s if may_grow else 0.0
    deadline = time.monotonic() + wait_s
    asked = False
    while True:
        nodes = _live_nodes()
        sized = size(nodes, _later_gpus() if may_grow else 0)
        lacking = missing_for(sized, nodes)
        if not lacking:
            wait.pool_state.begin()
            return sized
        if time.monotonic() >= deadline:
            raise RunError(Exit.UNAVAILABLE, lacking)
        if not asked:  # an autoscaler that stands at zero at night starts nodes only when somebody asks
            log.warning("waiting up to %.0f s: %s", wait_s, lacking)
            request_resources(bundles=[_bundle(dear(sized))] * dear(sized).at_least)
            asked = True
        wait.pool_state.waiting = f"waiting: {lacking}"
        wait.check_stop()
        time.sleep(2)


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


def _bundle(pool: Pool) -> dict[str, float]:
    return {"CPU": pool.cpus} | ({"GPU": pool.gpus} if pool.gpus else {})


def _may_grow(config: Config) -> bool:
    """A local cluster of this process has what it has; a joined one may be autoscaled."""
    return config.cluster.address != "local" and bool(config.cluster.address or os.environ.get("RAY_ADDRESS"))


def _later_gpus() -> float | None:
    """Return how many GPUs the cluster may grow to as its autoscaler says, None when it says nothing."""
    try:  # no public call tells it
        largest = ray._private.state.state.get_max_resources_from_cluster_config()
    except AttributeError:
        return None
    return None if largest is None else float(largest.get("GPU", 0))
