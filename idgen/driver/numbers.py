"""Numbers of a configuration that no run can work with: refused at its start, not met hours later."""

import math

from idgen.config import Config
from idgen.errors import Exit, RunError

ABOVE_ZERO = (
    "images.publishers", "planner.memory_mb", "planner.shard_seconds", "planner.min_shard_rows",
    "planner.max_shard_rows", "sources.max_bytes", "sources.max_pixels", "sources.connect_timeout_s",
    "sources.deadline_s", "sources.threads", "faces.batch_deadline_s", "sampling.batch_deadline_s", "texts.deadline_s",
)  # fmt: skip
"""A thread pool of none, a deadline that is over: nothing is made, or every row fails."""
ZERO_OR_MORE = (
    "run.deadline_s", "run.breaker_failures", "select.limit", "faces.actors", "faces.num_cpus", "sampling.actors",
    "sampling.num_cpus", "sampling.batch_size", "texts.actors", "cluster.wait_s", "cluster.num_cpus",
)  # fmt: skip
"""0 has a meaning of its own, or none of something is enough."""


def check_numbers(config: Config) -> None:
    """Raise RunError(USAGE) for a number out of its range, or for one that is no number (nan)."""
    share = config.run.max_failed_fraction
    if not 0 <= share <= 1:  # of nan nothing is true: every run would end well
        raise RunError(Exit.USAGE, f"run.max_failed_fraction={share:g}: a share from 0 to 1")
    for names, words in ((ABOVE_ZERO, "more than 0"), (ZERO_OR_MORE, "0 or more")):
        for name in names:
            room, key = name.split(".")
            value: float = getattr(getattr(config, room), key)
            if not math.isfinite(value) or value < 0 or (value == 0 and names is ABOVE_ZERO):
                raise RunError(Exit.USAGE, f"{name}={value:g}: {words}")
