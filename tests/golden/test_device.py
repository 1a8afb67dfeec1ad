"""The goldens on the device that IDGEN_GOLDEN_DEVICE names, in float32 and bfloat16; jobs/benchmark.py runs them so.

Each test records its shares of what is allowed, which stand in pytest's JUnit file. With IDGEN_GOLDEN_CASES=own only
the cases that a checkout carries.
"""

import os
from dataclasses import replace

import pytest
from golden import running, stock
from golden.cases import BARE, HERE, Case, find
from golden.test_precision import BFLOAT16, moved
from torch import Tensor

from idgen.sampling.sampler import Sampler

DEVICE = os.environ.get("IDGEN_GOLDEN_DEVICE", "")
OWN = os.environ.get("IDGEN_GOLDEN_CASES") == "own"
pytestmark = [pytest.mark.golden, pytest.mark.skipif(not DEVICE, reason="IDGEN_GOLDEN_DEVICE names no device")]
CASES = [case for case in find() if case.root == HERE or not OWN] if DEVICE else [None]


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.id if case else "none")
def case(request) -> Case:
    return request.param


@pytest.fixture(scope="module")
def exact(case) -> tuple[Sampler, dict[str, Tensor]]:
    sampler = running.load(case, device=DEVICE)
    return sampler, running.run(sampler, case)


@pytest.fixture(scope="module")
def rough(case) -> tuple[Sampler, dict[str, Tensor]]:
    sampler = running.load(case, "bfloat16", DEVICE)
    return sampler, running.run(sampler, case)


def rounding(case: Case, name: str = "latents") -> int:
    """Times the tolerance, as in test_adapters.py: where diffusers alone gives no less, of Kolors' base and texts."""
    of_text = running.LIMITS[name] == "prompt_embeds" and case.recipe.base.kind == "kolors"
    return stock.ROUNDING if case.facts["adapter"] in BARE or of_text else 1


def test_in_float32_every_tensor_is_the_originals(case, exact, record_property):
    expected = running.wanted(case)
    values = running.differences(case, exact[1], expected)
    shares = {name: value / case.facts["tolerance"][running.LIMITS[name]] for name, value in values.items()}
    for name, share in shares.items():
        record_property(f"share_{name}", share)
    assert shares.keys() == expected.keys()
    assert {name: share for name, share in shares.items() if not share <= rounding(case, name)} == {}


def test_in_bfloat16_tensors_stay_within_their_bounds(case, exact, rough, record_property):
    bounds = dict(zip(("noise_pred_cond", "latents"), BFLOAT16[case.folder.name], strict=True))
    bounds["noise_pred_uncond"] = bounds["noise_pred_cond"]
    shares = {name: moved(exact[1][name], rough[1][name]) / bound for name, bound in bounds.items()}
    for name, share in shares.items():
        record_property(f"share_{name}", share)
    assert {name: share for name, share in shares.items() if not 0 < share <= 1} == {}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_batch_is_its_rows_alone(case, dtype, exact, rough, record_property):
    sampler, together = exact if dtype == "float32" else rough
    bound = case.facts["tolerance"]["latents"] if dtype == "float32" else BFLOAT16[case.folder.name][1]
    numbers = range(len(case.rows))
    away = [[moved(alone(sampler, case, number), row) for row in together["latents"].split(1)] for number in numbers]
    shares = [away[number][number] / bound for number in numbers]
    record_property("alone_latents", max(shares))
    assert len(shares) > 1
    # one person's picture for another's is within the bounds of some
    assert all(away[number][number] == min(away[number]) < sorted(away[number])[1] for number in numbers)
    most = rounding(case) if dtype == "float32" else 1
    assert all(share <= most for share in shares)


def alone(sampler: Sampler, case: Case, number: int) -> Tensor:
    """The last latents of one row of the case."""
    conditions = sampler.condition([case.rows[number]], case.bucket)
    given = case.inputs.get("latents")
    noise = conditions.noise if given is None else given[number : number + 1]
    return sampler.denoise(replace(conditions, noise=noise), case.bucket).cpu()
