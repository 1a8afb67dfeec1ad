"""Reads the state of the actor pools from inside Ray Data's loop, which alone knows it, for PoolState."""

import logging
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import ray
from ray.exceptions import RayError

try:
    from ray.data._internal.execution.execution_callback import ExecutionCallback
    from ray.data._internal.execution.operators.actor_pool_map_operator import ActorPoolMapOperator
except ImportError:  # another Ray: see PoolProbe
    ExecutionCallback, ActorPoolMapOperator = object, ()  # type: ignore[misc, assignment]

from idgen.actors.pool_sizes import Pool
from idgen.actors.pool_state import LineLeftError, PoolState, Standing

if TYPE_CHECKING:
    from ray.data._internal.execution.streaming_executor import StreamingExecutor

log = logging.getLogger(__name__)

LOOK_S = 1.0
KINDS = {"Faces": "face actor", "Sampling": "sampling actor", "Texts": "text actor"}
"""By the names of stages.py's classes, which Ray puts into its own."""


class PoolProbe(ExecutionCallback):
    """Ray calls it at every step of its loop, in the loop's thread; what it raises ends the line.

    It reads Ray's private interface: with a Ray that differs, the line runs but the state is not shown.
    """

    def __init__(self, pool_state: PoolState, pools: Mapping[type, Pool]) -> None:
        """`pools` by the classes of stages.py."""
        self._pool_state = pool_state
        self._pools = {stage.__name__: pool for stage, pool in pools.items()}
        self._looked_at_s = 0.0
        self._looks = True

    def __call__(self) -> "PoolProbe":
        """Return itself: Ray wants a class that it can make one of."""
        return self

    def __deepcopy__(self, _memo: object) -> "PoolProbe":
        return self

    def __reduce__(self) -> tuple[type[ExecutionCallback], tuple[()]]:
        """In an actor, which is sent the settings of Ray Data too, there is nothing to look at."""
        return ExecutionCallback, ()

    def before_execution_starts(self, executor: "StreamingExecutor") -> None:
        """Begin."""
        self._pool_state.begin()

    def on_execution_step(self, executor: "StreamingExecutor") -> None:
        """Look, once a second."""
        if not self._looks or time.monotonic() - self._looked_at_s < LOOK_S:
            return
        self._looked_at_s = time.monotonic()
        try:
            self._pool_state.look(self._standings(executor))
        except (LineLeftError, RayError):
            raise
        except Exception:
            log.warning("the state of the actor pools cannot be read in Ray %s", ray.__version__, exc_info=True)
            self._looks = False
            self._pool_state.begin()

    def after_execution_succeeds(self, executor: "StreamingExecutor") -> None:
        """End; of a line that failed it is kept what it waited for."""
        self._pool_state.begin()

    def _standings(self, executor: "StreamingExecutor") -> list[Standing]:
        """Of the pools that have work to come: one that is through has let its actors go."""
        pools = [op for op in executor._topology or () if isinstance(op, ActorPoolMapOperator)]
        return [self._standing(op) for op in pools if not op.has_execution_finished()]

    def _standing(self, op: ActorPoolMapOperator) -> Standing:
        stage = op.name.partition("(")[2].rstrip(")")
        running = op._actor_pool._running_actors  # type: ignore[attr-defined]  # of the pool that it really is
        up = [actor for actor in running.values() if not actor.is_restarting]
        return Standing(
            kind=KINDS.get(stage, stage),
            pool=self._pools[stage],
            placed=len(up) or _placed(op.name),
            busy=sum(actor.num_tasks_in_flight > 0 for actor in up),
        )


def _placed(name: str) -> int:
    """Return how many actors of an operator have a process; which of those that start do, only the cluster knows.

    One that waits has the address of the node that it waits at, without a port; one that ended keeps its port.
    """
    job = ray.JobID(bytes.fromhex(ray.get_runtime_context().get_job_id()))
    table = ray._private.state.state.actor_table(None, job).values()
    live = [one for one in table if one["State"] != "DEAD"]
    return sum(name in one["ActorClassName"] and one["Address"]["Port"] > 0 for one in live)
