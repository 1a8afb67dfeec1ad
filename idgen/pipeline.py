"""The line, whole, in Ray Data: shards -> faces -> sample -> counts; ahead of it, for some recipes, prompts -> texts.

Everything was decided before it starts: the plan's order is the order of work (`preserve_order`), and one shard is one
row is one block is one task (`target_max_block_size=None`, `batch_size=1`; actors/packing.py says why a row). Pixels of
pictures never enter Ray: the sampler publishes them itself and one small row per shard comes back. Rows that failed
ride along; no stage drops or adds one.
Texts go to the store too, and the actors that make them end before the line begins.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field

import ray
from ray.data import ActorPoolStrategy, DataContext, Dataset

from idgen.actors.facts import FaceSettings, RunFacts, SamplerSettings, TextSettings
from idgen.actors.pool_probe import PoolProbe
from idgen.actors.pool_sizes import Pool, Pools
from idgen.actors.pool_state import PoolState
from idgen.actors.remote_monitor import RemoteMonitor
from idgen.actors.stages import Faces, Sampling, Texts
from idgen.manifest.prompts import TextBlock
from idgen.manifest.shards import ShardRef

TASKS_IN_FLIGHT = 2  # 1 leaves an actor waiting between shards, 4 queue minutes of work on a dying node


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """All that the line is made of."""

    run: RunFacts
    faces: FaceSettings
    sampler: SamplerSettings
    pools: Pools
    monitor: RemoteMonitor
    no_progress_timeout_s: float
    pool_state: PoolState = field(default_factory=PoolState)
    """Told how the pools stand."""


def run(shards: Sequence[ShardRef], line: Line) -> Iterator[dict[str, object]]:
    """Run the line; yield each shard's COUNTS as it ends, in the plan's order."""
    yield from sampled(shards, line).iter_rows()


def sampled(shards: Sequence[ShardRef], line: Line) -> Dataset:
    """Return the line as Ray Data has it, not run yet: a block of one row of COUNTS per shard."""
    pools = line.pools
    items = _items(shards, line, {Faces: pools.faces, Sampling: pools.sampling})
    analysed = _stage(items, Faces, line.faces, pools.faces, line)
    return _stage(analysed, Sampling, line.sampler, pools.sampling, line)


def encode(blocks: Sequence[TextBlock], texts: TextSettings, pool: Pool, line: Line) -> Iterator[dict[str, object]]:
    """Run the short line ahead of it: encode prompts; yield each block's TEXT_COUNTS as it ends."""
    yield from _stage(_items(blocks, line, {Texts: pool}), Texts, texts, pool, line).iter_rows()


def _items(parts: Sequence[ShardRef] | Sequence[TextBlock], line: Line, pools: Mapping[type, Pool]) -> Dataset:
    """One row, which is one block, per part of the work."""
    _context(line, pools)
    return ray.data.from_items([asdict(part) for part in parts], override_num_blocks=len(parts))


def _stage(
    data: Dataset, actor: type, settings: FaceSettings | SamplerSettings | TextSettings, pool: Pool, line: Line
) -> Dataset:
    """One pool of actors: a block of one row in, one block out."""
    return data.map_batches(
        actor,
        batch_size=1,
        batch_format="pyarrow",
        fn_constructor_kwargs={"run": line.run, "settings": settings, "monitor": line.monitor},
        compute=ActorPoolStrategy(
            min_size=pool.at_least, max_size=pool.actors, max_tasks_in_flight_per_actor=TASKS_IN_FLIGHT
        ),
        num_cpus=pool.cpus,
        num_gpus=pool.gpus or None,
    )


def _context(line: Line, pools: Mapping[type, Pool]) -> None:
    context = DataContext.get_current()
    context.target_max_block_size = None
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    context.execution_no_progress_timeout_s = line.no_progress_timeout_s
    context.raise_original_map_exception = True  # else Ray wraps an actor's RunError and its cause is lost
    # Ray calls what stands there to make a callback: the probe gives itself
    context.custom_execution_callback_classes = [PoolProbe(line.pool_state, pools)]  # type: ignore[list-item]
    context.max_errored_blocks = 0  # rows carry their errors; a block that raises is a bug and ends the run
