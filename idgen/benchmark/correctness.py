"""The block correctness: compares the device with the original implementations' tensors (tests/golden/test_device.py).

In float32 within the goldens' own tolerances, in bfloat16 within its bounds, and a batch against its rows alone.
"""

from collections.abc import Sequence

from idgen.benchmark.budget import Budget
from idgen.benchmark.figures import Correctness, GoldenFigures
from idgen.benchmark.junit import End, count, run_tests
from idgen.benchmark.processes import BlockError

FILE = "tests/golden/test_device.py"
PRECISIONS = ("float32", "bfloat16")


def measure(found: Correctness, device: str, size: str, budget: Budget) -> None:
    """Fill in `found`; at size tiny with the cases that a checkout carries alone. Raises BlockError on a failure."""
    environment = {"IDGEN_GOLDEN_DEVICE": device, "IDGEN_GOLDEN_CASES": "own" if size == "tiny" else "all"}
    tests, late = run_tests([FILE], budget.left_s, environment)
    for precision in PRECISIONS:
        _fill(getattr(found, precision), [test for test in tests if precision in test.name])
    ran = [test for test in tests if test.outcome != "skipped"]
    failed = [test.name for test in ran if test.outcome == "failed"]
    if failed:
        raise BlockError(f"{len(failed)} of {len(ran)} tests failed, the first: {failed[0]}")
    if late:
        raise BlockError(late)
    if not ran:
        raise BlockError("no golden case was found")


def _fill(figures: GoldenFigures, tests: Sequence[End]) -> None:
    count(figures, tests)
    figures.worst_share, figures.worst = _worst(tests, "share_")
    figures.alone_worst_share, figures.alone_worst = _worst(tests, "alone_")


def _worst(tests: Sequence[End], prefix: str) -> tuple[float | None, str | None]:
    """Return the largest of the numbers recorded as <prefix><what>, and test and what."""
    shares = [
        (float(value), f"{test.name} {name.removeprefix(prefix)}")
        for test in tests
        for name, value in test.properties.items()
        if name.startswith(prefix)
    ]
    return max(shares) if shares else (None, None)
