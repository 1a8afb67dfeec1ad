"""The whole script: blocks one after another, each with its share of the time, and JSON that is whole after each.

Made for a machine that is lent for minutes. No block needs another: one that fails, hangs or dies is told in one line,
and the next begins.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from idgen.benchmark import correctness, door, job, speed
from idgen.benchmark.ahead import Weights, written_ahead
from idgen.benchmark.budget import Budget
from idgen.benchmark.figures import Block, Document, Machine, PytestFigures
from idgen.benchmark.job import NotRun, missing_packages
from idgen.benchmark.junit import count, run_tests
from idgen.benchmark.processes import LINE_CHARS, BlockError, check, run
from idgen.benchmark.workloads import SPEED_RECIPES
from idgen.config import BenchmarkConfig
from idgen.errors import Exit, RunError
from idgen.suggestions import suggestion
from idgen.versions import git_commit

MACHINE_S = 90.0
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Task:
    """One block's work: a share of the time, and what fills in its figures (with `keep` it may be told early)."""

    weight: float
    measure: Callable[[Budget, Callable[[], None]], None]


def run_script(config: BenchmarkConfig, say: Say) -> int:
    """Run the blocks that `config` names and write the JSON; OK, or TOO_MANY_FAILED when one failed.

    Raises RunError when a block is unknown, or there is no such device. `say` gets a line as each block ends.
    """
    budget = Budget(config.budget_s)
    document = Document(
        device=config.device,
        size=config.size,
        budget_s=config.budget_s,
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
        git_commit=git_commit(),
    )
    for name in config.blocks:
        if name not in document.blocks:
            known = suggestion(name, document.blocks)
            raise RunError(Exit.USAGE, f"benchmark.blocks: there is no block {name!r}{known}")
    document.machine = _machine(config.device, min(MACHINE_S, budget.left_s))
    path = Path(config.json)
    with (
        tempfile.TemporaryDirectory(prefix="idgen-weights-", ignore_cleanup_errors=True) as folder,
        _weights(config, Path(folder)) as weights,
    ):
        tasks = {name: task for name, task in _tasks(document, weights).items() if name in config.blocks}
        run_blocks(tasks, document, budget, path, say)
    say(f"{document.seconds:.0f} s; figures in {path}")
    failed = any(block.state == "failed" for block in document.blocks.values())
    return Exit.TOO_MANY_FAILED if failed else Exit.OK


def _weights(config: BenchmarkConfig, folder: Path) -> AbstractContextManager[Weights]:
    """Begin to write what the blocks need, beside those that need nothing."""
    if config.size != "full" or {"speed", "job"}.isdisjoint(config.blocks):
        return nullcontext(Weights())
    return written_ahead(list(SPEED_RECIPES) if "speed" in config.blocks else [job.RECIPES["full"]], folder)


def run_blocks(tasks: Mapping[str, Task], document: Document, budget: Budget, path: Path, say: Say) -> None:
    """Run `tasks` in their order; the document is written to `path` after each."""
    start, names = time.monotonic(), list(tasks)

    def keep() -> None:
        """Write the document as it stands."""
        document.seconds = time.monotonic() - start
        document.not_run = _not_run(document)
        document.write(path)

    for block in document.blocks.values():
        block.reason = "not asked for"
    for name in names:
        document.blocks[name].reason = "its turn did not come"
    keep()
    for at, name in enumerate(names):
        part = budget.part(tasks[name].weight, [tasks[later].weight for later in names[at + 1 :]])
        _run_one(document.blocks[name], tasks[name], part, keep)
        keep()
        block = document.blocks[name]
        say(f"{name:12} {block.state:8} {block.seconds:6.1f} of {block.allowed_s:.0f} s   {block.reason}")


def _run_one(block: Block, task: Task, budget: Budget, keep: Callable[[], None]) -> None:
    block.allowed_s = budget.left_s
    start = time.monotonic()
    try:
        task.measure(budget, keep)
        block.state, block.reason = "done", ""
    except NotRun as error:
        block.reason = str(error)
    except Exception as error:  # a bug in one block is no reason to lose the others
        known = str(error) if isinstance(error, BlockError) else f"{type(error).__name__}: {error}"
        block.state, block.reason = "failed", known.partition("\n")[0][:LINE_CHARS]
    block.seconds = time.monotonic() - start


def _tasks(document: Document, weights: Weights) -> dict[str, Task]:
    device, size = document.device, document.size
    figures = {name: block.figures for name, block in document.blocks.items()}
    return {
        "door": Task(60, lambda budget, _keep: door.measure(figures["door"], device, budget)),
        "correctness": Task(
            60, lambda budget, _keep: correctness.measure(figures["correctness"], device, size, budget)
        ),
        "speed": Task(330, partial(speed.measure, figures["speed"], device, size, weights)),
        "job": Task(70, lambda budget, _keep: job.measure(figures["job"], device, size, weights, budget)),
        "gpu_tests": Task(30, lambda budget, _keep: _gpu_tests(figures["gpu_tests"], device, budget)),
    }


def _gpu_tests(figures: PytestFigures, device: str, budget: Budget) -> None:
    """Run tests/gpu, whose tests skip themselves where there is no CUDA device."""
    tests, late = run_tests(["-m", "gpu", "tests/gpu"], budget.left_s, {})
    count(figures, tests)
    if figures.failures:
        raise BlockError(f"{len(figures.failures)} of {len(tests)} tests failed, the first: {figures.failures[0]}")
    if late:
        raise BlockError(late)
    if device != "cuda":
        raise NotRun(f"no CUDA device: {figures.skipped} tests skipped themselves")
    if not figures.passed:
        raise BlockError("no test ran")


def _machine(device: str, seconds: float) -> Machine:
    try:
        ended = run([sys.executable, "-m", "idgen.benchmark.machine", device], seconds)
        check(ended, "torch")
    except BlockError as error:
        raise RunError(Exit.UNAVAILABLE, f"benchmark.device={device} does not work here: {error}") from error
    return Machine(**json.loads(ended.last_line))


def _not_run(document: Document) -> list[str]:
    lines = [f"{name}: {block.reason}" for name, block in document.blocks.items() if block.state == "not run"]
    if document.device != "cuda":
        ran = [name for name, block in document.blocks.items() if block.state != "not run"]
        lines += [f"{name}: on a GPU" for name in ran]
    if document.size != "full":
        lines.append("speed, job: with weights of full size")
    if document.blocks["door"].figures.through_ray is False:
        lines.append(f"door: through Ray; not installed: {', '.join(missing_packages())}")
    return lines
