"""What the whole script measures, as one tree of dataclasses: the keys of its JSON, on every device and at every size.

A figure that cannot be measured where the script runs is null, never left out.
"""

import json
import os
import tempfile
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal

from idgen.benchmark.workloads import DOOR_RECIPES, SPEED_RECIPES

State = Literal["not run", "done", "failed"]


@dataclass(kw_only=True, slots=True)
class DoorFigures:
    """One recipe in one precision through the whole job."""

    pictures: int | None = None
    ok: int | None = None
    non_finite: int | None = None
    """Pictures that did not decode to finite numbers."""
    people_differ_levels: float | None = None
    """Mean difference of two people's pictures with the same prompt and seed, in levels of 255."""


@dataclass(kw_only=True, slots=True)
class DoorPrecisions:
    """One recipe."""

    float16: DoorFigures = field(default_factory=DoorFigures)
    bfloat16: DoorFigures = field(default_factory=DoorFigures)


@dataclass(kw_only=True, slots=True)
class Door:
    """A small job on the tiny world's weights, on the device."""

    through_ray: bool | None = None
    """False: Ray, or another package of the job, is not installed, and the sampler ran alone."""
    seconds: float | None = None
    recipes: dict[str, DoorPrecisions] = field(
        default_factory=lambda: {name: DoorPrecisions() for name in DOOR_RECIPES}
    )


@dataclass(kw_only=True, slots=True)
class PytestFigures:
    """How a run of pytest ended."""

    passed: int | None = None
    failed: int | None = None
    skipped: int | None = None
    failures: list[str] | None = None
    """Names of those that failed."""


@dataclass(kw_only=True, slots=True)
class GoldenFigures(PytestFigures):
    """The goldens in one precision. Shares are of what is allowed: above 1 is too far.

    But in float32 up to 4 is rounding for Kolors' texts, and for cases of its base alone (tests/golden/stock.py).
    """

    worst_share: float | None = None
    """Of all cases and tensors, against the original implementations (float32) or the float32 of the device."""
    worst: str | None = None
    """Case and tensor that it was."""
    alone_worst_share: float | None = None
    """A batch's last latents against each row's alone."""
    alone_worst: str | None = None


@dataclass(kw_only=True, slots=True)
class Correctness:
    """tests/golden on the device."""

    float32: GoldenFigures = field(default_factory=GoldenFigures)
    bfloat16: GoldenFigures = field(default_factory=GoldenFigures)


@dataclass(kw_only=True, slots=True)
class Way:
    """One way of making a recipe's pictures."""

    batch: int | None = None
    pictures: int | None = None
    """Of those that were timed."""
    non_finite: int | None = None
    """Of those, and of the first batch's, that did not decode to finite numbers; the plain loop does not look."""
    seconds: float | None = None
    first_batch_s: float | None = None
    """With everything that happens only once, as compiling."""
    images_per_s: float | None = None
    limit_share: float | None = None
    """Of `limit_images_per_s`."""
    peak_memory_bytes: int | None = None
    """Of the device."""
    host_syncs_per_step: float | None = None
    """Off CUDA counted by idgen/sampling/host_syncs.py: ours on tensors that are nowhere, the plain loop's on the CPU,
    where those of the scheduler's own tables are among them."""
    host_syncs_per_batch: float | None = None
    """Beside those of the steps, from the first step to the last latents."""
    gpu_busy_share: float | None = None
    """Time with a kernel running, of the time from the first step to the last latents."""


@dataclass(kw_only=True, slots=True)
class SpeedFigures:
    """One recipe."""

    weights: str | None = None
    """tiny or full: whose random weights."""
    width: int | None = None
    height: int | None = None
    steps: int | None = None
    scheduler: str | None = None
    dtype: str | None = None
    write_s: float | None = None
    """Writing the random weights, which recipes share."""
    load_s: float | None = None
    """The recipe as the sampling actor loads it, from the page cache."""
    limit_images_per_s: float | None = None
    plain_leaves_out: str | None = None
    """What the plain loop does not do and ours does."""
    plain: Way = field(default_factory=Way)
    eager: Way = field(default_factory=Way)
    compiled: Way = field(default_factory=Way)
    compile_backend: str | None = None
    eager_over_plain: float | None = None
    compiled_over_plain: float | None = None
    error: str | None = None
    """Why not all was measured."""


@dataclass(kw_only=True, slots=True)
class Speed:
    """A plain diffusers loop, our sampler, and our sampler compiled."""

    recipes: dict[str, SpeedFigures] = field(default_factory=lambda: {name: SpeedFigures() for name in SPEED_RECIPES})


@dataclass(kw_only=True, slots=True)
class Job:
    """The whole job against its own sampler in a plain loop (idgen/driver/benchmark.py)."""

    recipe: str | None = None
    steps: int | None = None
    batch: int | None = None
    job_per_s: float | None = None
    bare_per_s: float | None = None
    job_over_bare: float | None = None
    drift: float | None = None
    """Bare before over bare after: what the machine did meanwhile."""
    checks_cpu_ms: float | None = None
    """All checks on a finished picture of 1024 px together, without the networks that measure before them."""
    face_analysis_cpu_ms: float | None = None


@dataclass(kw_only=True, slots=True)
class Block:
    """How one block went."""

    state: State = "not run"
    reason: str = ""
    """One line: why it failed or did not run."""
    seconds: float | None = None
    allowed_s: float | None = None
    figures: Any = None


@dataclass(kw_only=True, slots=True)
class Machine:
    """What it ran on (idgen/benchmark/machine.py)."""

    python: str | None = None
    torch: str | None = None
    cuda: str | None = None
    diffusers: str | None = None
    transformers: str | None = None
    ray: str | None = None
    cpus: int | None = None
    gpu: str | None = None
    gpu_memory_bytes: int | None = None
    bfloat16_tflops: float | None = None
    """Of a large matrix product of random numbers, just now."""


def _blocks() -> dict[str, Block]:
    kinds = {"door": Door, "correctness": Correctness, "speed": Speed, "job": Job, "gpu_tests": PytestFigures}
    return {name: Block(figures=kind()) for name, kind in kinds.items()}


@dataclass(kw_only=True, slots=True)
class Document:
    """The whole JSON."""

    device: str
    size: str
    budget_s: float
    started_at: str
    git_commit: str
    seconds: float | None = None
    machine: Machine = field(default_factory=Machine)
    blocks: dict[str, Block] = field(default_factory=_blocks)
    not_run: list[str] = field(default_factory=list)
    """What had no device, no Ray, no time, or was not asked for."""

    def write(self, path: Path) -> None:
        """Write it in one move: who reads meanwhile gets all of it or the one before."""
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        with os.fdopen(handle, "w") as file:
            json.dump(asdict(self), file, indent=1)
            file.write("\n")
        os.chmod(draft, 0o644)
        os.replace(draft, path)


def fill(figures: Any, found: dict[str, object]) -> None:  # noqa: ANN401
    """Put the numbers of `found`, a part of the JSON, into the dataclass that has them. KeyError for a stranger."""
    names = {one.name for one in fields(figures)}
    for name, value in found.items():
        if name not in names:
            raise KeyError(name)
        there = getattr(figures, name)
        if is_dataclass(there) and isinstance(value, dict):
            fill(there, value)
        else:
            setattr(figures, name, value)
