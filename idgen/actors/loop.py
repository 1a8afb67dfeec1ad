"""Looks at the line's pools of actors from inside Ray Data's loop, which alone knows them: for Places."""

import time
from collections.abc import Mapping
from typing import Any

import ray
from ray.data._internal.execution.execution_callback import ExecutionCallback
from ray.data._internal.execution.operators.actor_pool_map_operator import ActorPoolMapOperator

from idgen.actors.places import Places, Standing
from idgen.actors.pool_sizes import Pool

LOOK_S = 1.0
KINDS = {"Faces": "face actor", "Sampling": "sampling actor", "Texts": "text actor"}
"""By the names of stages.py's classes, which Ray puts into its own."""


class LoopLook(ExecutionCallback):  # type: ignore[misc]  # Ray has no types
    """Ray calls it at every step of its loop, in the loop's thread; what it raises ends the line."""

    def __init__(self, places: Places, pools: Mapping[type, Pool]) -> None:
        """`pools` by the classes of stages.py."""
        self._places = places
        self._pools = {stage.__name__: pool for stage, pool in pools.items()}
        self._looked_at_s = 0.0

    def __call__(self) -> "LoopLook":
        """Return itself: Ray wants a class that it can make one of."""
        return self

    def __deepcopy__(self, _memo: object) -> "LoopLook":
        return self

    def __reduce__(self) -> tuple[type[ExecutionCallback], tuple[()]]:
        """In an actor, which is sent the settings of Ray Data too, there is nothing to look at."""
        return ExecutionCallback, ()

    def before_execution_starts(self, executor: Any) -> None:  # noqa: ANN401
        """Begin."""
        self._places.begin()

    def on_execution_step(self, executor: Any) -> None:  # noqa: ANN401
        """Look, once a second."""
        if time.monotonic() - self._looked_at_s >= LOOK_S:
            self._looked_at_s = time.monotonic()
            pools = [op for op in executor._topology if isinstance(op, ActorPoolMapOperator)]
            # a pool that is through has let its actors go
            self._places.look([self._standing(op) for op in pools if not op.has_execution_finished()])

    def after_execution_succeeds(self, executor: Any) -> None:  # noqa: ANN401
        """End; of a line that failed it is kept what it waited for."""
        self._places.begin()

    def _standing(self, op: ActorPoolMapOperator) -> Standing:
        stage = op.name.partition("(")[2].rstrip(")")
        up = [actor for actor in op._actor_pool._running_actors.values() if not actor.is_restarting]
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
