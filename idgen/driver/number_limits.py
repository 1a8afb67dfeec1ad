"""Limits of numbers in a configuration: values that no run can work with are refused at the start."""

import math

from idgen.config import Config
from idgen.errors import Exit, RunError

ABOVE_ZERO = (
    "images.publishers", "planner.memory_mb", "planner.shard_seconds", "planner.min_shard_rows",
    "planner.max_shard_rows", "sources.max_bytes", "sources.max_pixels", "sources.threads",
)  # fmt: skip
"""With 0, a thread pool has no threads: nothing is made, or every row fails."""
DEADLINES = (
    "sources.connect_timeout_s", "sources.deadline_s", "faces.batch_deadline_s", "sampling.batch_deadline_s",
    "texts.deadline_s",
)  # fmt: skip
"""A time limit of 0 is over before anything is done; one above LONGEST_S overflows the timers."""
ZERO_OR_MORE = (
    "run.deadline_s", "run.breaker_failures", "run.max_attempts", "select.limit", "sources.min_side_px",
    "sources.warn_side_px", "faces.actors", "faces.num_cpus", "faces.num_gpus", "faces.min_face_px",
    "faces.warn_face_fraction", "sampling.actors", "sampling.num_cpus", "sampling.num_gpus", "sampling.batch_size",
    "texts.actors", "texts.num_cpus", "texts.num_gpus", "cluster.wait_s", "cluster.num_cpus", "report.max_rows",
    "report.thumbnail_px",
)  # fmt: skip
"""Here 0 has a special meaning or is a possible number. null is not checked."""
BETWEEN = {"images.quality": (0, 100), "checks.near_duplicate_bits": (0, 64), "run.max_extra_pictures": (-1, 2**31 - 1)}
"""Whole numbers with a first and a last one."""
SHARES = ("max_failed_fraction", "max_held_fraction")
"""Settings of `run`."""
LONGEST_S = 20 * 86_400
"""faulthandler takes 9e9 s, but a socket waits with an int of milliseconds: 24 days."""


def check_numbers(config: Config) -> None:
    """Raise RunError(USAGE) for a number out of its range, or for nan."""
    for name in SHARES:
        share: float = getattr(config.run, name)
        if not 0 <= share <= 1:  # of nan nothing is true: every run would end well
            raise RunError(Exit.USAGE, f"run.{name}={share:g}: must be a share from 0 to 1")
    for name in (*ABOVE_ZERO, *DEADLINES, *ZERO_OR_MORE):
        room, key = name.split(".")
        value: float | None = getattr(getattr(config, room), key)
        if value is not None and (words := _wrong(name, value)):
            raise RunError(Exit.USAGE, f"{name}={value:g}: {words}")
    for name, (first, last) in BETWEEN.items():
        room, key = name.split(".")
        number: int = getattr(getattr(config, room), key)
        if not first <= number <= last:
            raise RunError(Exit.USAGE, f"{name}={number}: must be {first} to {last}")


def _wrong(name: str, value: float) -> str:
    """Return which numbers `name` takes when `value` is none of them, else ""."""
    finite = math.isfinite(value)
    if name in ZERO_OR_MORE:
        return "" if finite and value >= 0 else "must be a finite number, 0 or more"
    if name in DEADLINES:
        return "" if 0 < value <= LONGEST_S else f"must be more than 0 s and at most {LONGEST_S} s (20 days)"
    return "" if finite and value > 0 else "must be a finite number, more than 0"
