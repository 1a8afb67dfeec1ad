"""InstantID, and the attention of PuLID and EcomID, give what the originals gave: tokens, first prediction, latents.

Parts, not recipes (golden/instantid_parts.py). `-s` prints the differences.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import diffusers
import pytest
from golden.instantid_parts import BRANCHES, NETS, beyond, face_tokens, open_case, run, setting

pytestmark = pytest.mark.golden

JUDGED = {"noise_pred_cond", "noise_pred_uncond", "latents", "latents_steps"}
FACTOR = 20
"""A mistake must stand out of the tolerance by this much."""


@pytest.mark.parametrize("name", BRANCHES)
def test_predictions_and_latents_are_the_originals(name):
    case = open_case(name)
    found = run(case, setting(case))
    assert found.keys() == JUDGED
    assert beyond(case, found) == set()
    assert case.expected["latents"].abs().max() > 100 * case.facts["tolerance"]["latents"]


@pytest.mark.parametrize("name", BRANCHES)
def test_conditional_rows_alone_predict_what_they_predict_beside_unconditional_ones(name):
    case = open_case(name)
    found = run(case, setting(case, guided=False), whole=False)
    assert found.keys() == {"noise_pred_cond"}
    assert beyond(case, found) == set()


@pytest.mark.parametrize(("name", "tokens"), [("instantid", "tokens"), ("ecomid", "face_tokens")])
def test_the_tokens_of_a_face_are_the_originals(name, tokens):
    case = open_case(name)
    for kind, made in zip(("uncond", "cond"), face_tokens(case), strict=True):
        gap = (made - case.expected[f"{tokens}_{kind}"]).abs().max().item()
        print(f"{name} {tokens}_{kind}: {gap:.2e}")  # noqa: T201
        assert gap <= case.facts["tolerance"][tokens]


def test_the_original_sampler_starts_a_little_lower():
    case = open_case("pulid_v1.1")
    scheduler = diffusers.DPMSolverMultistepScheduler(**case.facts["scheduler"]["config"])
    scheduler.set_timesteps(case.facts["steps"])
    first = scheduler.sigmas[0]
    start = case.inputs["prior_noise"] * first / (first**2 + 1) ** 0.5
    for latents, wrong in ((start, False), (case.inputs["prior_noise"], True)):
        found = run(case, setting(case, latents=latents))["latents"]
        assert bool(beyond(case, {"latents_original_sampler": found})) is wrong


EACH_HALF = frozenset({"noise_pred_cond", "noise_pred_uncond"})
PULID = ("pulid_v1", "pulid_v1.1", "ecomid")


def mistake(words: str, names: Iterable[str], wrong: frozenset[str] = EACH_HALF, **change: Any) -> list[Any]:
    return [pytest.param(name, change, wrong, id=f"{name}, {words}") for name in names]


MISTAKES = [
    *mistake("text to the net", NETS, text_to_net=True),
    *mistake("conditional half alone", BRANCHES, EACH_HALF - {"noise_pred_cond"}, unconditional_too=False),
    *mistake("add", PULID, combine="add"),
    *mistake("ortho", ("instantid", *PULID), combine="ortho"),
    *mistake("ortho_v2", ("instantid",), combine="ortho_v2"),
    *mistake("9 zeros", ("pulid_v1", "ecomid"), num_zero=9),
    *mistake("21 zeros", ("pulid_v1.1",), num_zero=21),
    *mistake("mean over heads", ("ecomid",), attn_mean="query"),
    *mistake("mean over places", ("pulid_v1", "pulid_v1.1"), attn_mean="global"),
]


@pytest.mark.parametrize(("name", "change", "wrong"), MISTAKES)
def test_a_mistake_is_seen(name, change, wrong):
    case = open_case(name)
    assert beyond(case, run(case, setting(case, **change), whole=False), FACTOR) == wrong


@pytest.mark.parametrize("name", BRANCHES)
def test_rows_with_other_people_and_scales_are_the_same_alone(name):
    case = open_case(name)
    how = setting(case, id_scales=(0.3, 1.1), net_scales=(0.9, 0.4))
    together = run(case, how)["latents"]
    for row in how.rows:
        alone = run(case, replace(how, rows=(row,)))["latents"]
        assert (alone[0] - together[row]).abs().max() <= case.facts["tolerance"]["latents"]
    changed = (together - case.expected["latents"]).abs().amax((1, 2, 3))
    assert (changed > FACTOR * case.facts["tolerance"]["latents"]).all()
