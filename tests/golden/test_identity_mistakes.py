"""Mistakes with InstantID, PuLID and EcomID fail their goldens, and rows of a batch are what they are alone.

All through the product's sampler, each with one thing of the recipe or of a batch's conditions changed. `-s` prints
the differences. That nothing wrong gives the originals' tensors is tests/golden/test_adapters.py.
"""

from dataclasses import replace
from functools import lru_cache
from typing import Any

import diffusers
import pytest
import torch
from golden import running
from golden.cases import Case, open_case
from torch.nn.functional import normalize

from idgen.networks import eva_clip, pulid
from idgen.networks.branch import Branch
from idgen.networks.eva_clip import EvaTower
from idgen.sampling.conditions import Conditions
from idgen.sampling.sampler import Sampler

pytestmark = pytest.mark.golden

FACTOR = 20
"""A mistake must stand out of the tolerance by this much."""
PULID = ("pulid_v1", "pulid_v1.1", "ecomid")
NETS = ("instantid", "ecomid")
ALL = ("instantid", *PULID)
NOISE = {"noise_pred_cond", "noise_pred_uncond"}


@lru_cache
def opened(name: str) -> tuple[Case, Sampler]:
    """A case and its sampler, loaded once: tests put back what they change."""
    case = open_case(name)
    return case, running.load(case)


def each(*names: str):
    return pytest.mark.parametrize("name", names)


def wrong(case: Case, found: dict[str, torch.Tensor]) -> set[str]:
    """Names of what is far from the original's."""
    values = running.differences(case, found, {name: case.expected[name] for name in found})
    return running.beyond(case, {name: value / FACTOR for name, value in values.items()})


def first(name: str, **change: Any) -> set[str]:
    """What is wrong of the first prediction, with fields of the conditions replaced."""
    case, sampler = opened(name)
    conditions = sampler.condition(case.rows, case.bucket)
    return wrong(case, running.first(sampler, replace(conditions, **change), case.bucket, case))


def test_without_a_mistake_nothing_is_wrong():
    assert first("ecomid") == set()


@each(*NETS)
def test_text_to_identitynet(name):
    case, sampler = opened(name)
    made = sampler.condition(case.rows, case.bucket)
    assert first(name, context=torch.cat([made.negative, made.prompt])[:, None]) == NOISE


@each(*NETS)
def test_identitynet_with_the_face_of_somebody_in_unconditional_rows(name):
    context = conditions_of(name).context
    assert first(name, context=context[len(context) // 2 :].repeat(2, 1, 1, 1)) == {"noise_pred_uncond"}


@each(*ALL)
def test_the_scale_on_the_conditional_half_alone(name):
    (scale,) = conditions_of(name).scales
    halved = scale.clone()
    halved[: len(scale) // 2] = 0
    assert first(name, scales=[halved]) == {"noise_pred_uncond"}


def conditions_of(name: str) -> Conditions:
    case, sampler = opened(name)
    return sampler.condition(case.rows, case.bucket)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        *((name, {"combine": "add"}) for name in PULID),
        *((name, {"combine": "ortho"}) for name in PULID),
        ("pulid_v1", {"attn_mean": "global"}),
        ("pulid_v1.1", {"attn_mean": "global"}),
        ("ecomid", {"attn_mean": "query"}),
        ("pulid_v1", {"num_zero": 9}),
        ("ecomid", {"num_zero": 9}),
        ("pulid_v1.1", {"num_zero": 21}),
    ],
    ids=str,
)
def test_a_setting_that_is_another_than_the_cases(name, change, monkeypatch):
    """From the recipe on: loaded anew. With another `combine` the case's zero tokens stay."""
    case = open_case(name)
    plain = Case.adapter.fget
    said = {"num_zero": case.facts["scale"]["num_zero"]} | change
    monkeypatch.setattr(Case, "adapter", property(lambda self: replace(plain(self), **said)))
    sampler = running.load(case)
    found = running.first(sampler, sampler.condition(case.rows, case.bucket), case.bucket, case)
    assert wrong(case, found) == NOISE


@each("instantid")
@pytest.mark.parametrize("combine", ["ortho", "ortho_v2"])
def test_instantid_joined_as_pulid_is(name, combine, monkeypatch):
    _, sampler = opened(name)
    for branch in sampler.adapters[0].branches:
        assert isinstance(branch, Branch)
        monkeypatch.setattr(branch, "combine", combine)
    assert first(name) == NOISE


def tokens(name: str) -> set[str]:
    """What is wrong of the tokens, made anew."""
    case, sampler = opened(name)
    for adapter in sampler.adapters:
        adapter.forget()
    people = [running.person(row) for row in case.rows]
    with torch.inference_mode():
        made = sampler.adapters[0].encode(people, {})
    count = case.facts["num_tokens"]
    found = {"tokens_cond": [one.cond for one in made], "tokens_uncond": [one.uncond for one in made]}
    return wrong(case, {kind: torch.cat(parts)[:, :count] for kind, parts in found.items()})


@each(*PULID)
def test_pixels_resized_with_the_other_antialiasing(name, monkeypatch):
    adapter = opened(name)[1].adapters[0]
    assert tokens(name) == set()
    monkeypatch.setattr(adapter, "settings", replace(adapter.settings, antialias=not adapter.settings.antialias))
    assert tokens(name) == {"tokens_cond"}


CONDS = {
    "pooled not normalised": lambda raw, pooled: torch.cat([raw, pooled], -1),
    "embedding normalised": lambda raw, pooled: torch.cat([normalize(raw), normalize(pooled)], -1),
    "the other way round": lambda raw, pooled: torch.cat([normalize(pooled), raw], -1),
}


@each(*PULID)
@pytest.mark.parametrize("cond", CONDS.values(), ids=CONDS)
def test_conditions_put_together_in_another_way(name, cond, monkeypatch):
    opened(name)
    monkeypatch.setattr(pulid, "id_cond", cond)
    assert tokens(name) == {"tokens_cond"}


@each(*PULID)
@pytest.mark.parametrize("shift", [-1, 1])
def test_hidden_states_one_block_off(name, shift, monkeypatch):
    opened(name)
    monkeypatch.setattr(eva_clip, "LEVELS", tuple(level + shift for level in eva_clip.LEVELS))
    assert tokens(name) == {"tokens_cond"}


@each("pulid_v1")
def test_a_tower_without_rotary_positions(name, monkeypatch):
    tower = opened(name)[1].adapters[0].eye.tower
    assert isinstance(tower, EvaTower)
    monkeypatch.setitem(tower._buffers, "cos", torch.ones_like(tower.cos))
    monkeypatch.setitem(tower._buffers, "sin", torch.zeros_like(tower.sin))
    assert tokens(name) == {"tokens_cond"}


@each(*PULID)
def test_nobody_is_zeros_through_the_encoder_and_not_zero_tokens(name):
    case, _ = opened(name)
    assert case.expected["tokens_uncond"].abs().max() > 1000 * case.facts["tolerance"]["tokens"]


def test_the_original_sampler_of_version_1_1_starts_a_little_lower():
    case, sampler = opened("pulid_v1.1")
    scheduler = diffusers.DPMSolverMultistepScheduler(**case.facts["scheduler"]["config"])
    scheduler.set_timesteps(case.facts["steps"])
    sigma, noise = scheduler.sigmas[0], case.inputs["prior_noise"]
    conditions = sampler.condition(case.rows, case.bucket)
    limit = case.facts["tolerance"]["latents_original_sampler"]
    for start, right in ((noise * sigma / (sigma**2 + 1) ** 0.5, True), (noise, False)):
        found = sampler.denoise(replace(conditions, noise=start), case.bucket)
        assert ((found - case.expected["latents_original_sampler"]).abs().max().item() <= limit) is right


@each(*ALL)
def test_rows_with_other_people_and_scales_are_the_same_alone(name):
    case, sampler = opened(name)
    rows = [
        replace(row, ip_adapter_scale=strength, identity_scale=net)
        for row, strength, net in zip(case.rows, (0.3, 1.1), (0.9, 0.4), strict=True)
    ]
    together = sampler.denoise(noisy(case, sampler, rows), case.bucket)
    for at, row in enumerate(rows):
        alone = sampler.denoise(noisy(case, sampler, [row], at), case.bucket)
        assert (alone[0] - together[at]).abs().max() <= case.facts["tolerance"]["latents"]
    changed = (together - case.expected["latents"]).abs().amax((1, 2, 3))
    assert (changed > FACTOR * case.facts["tolerance"]["latents"]).all()


def noisy(case: Case, sampler: Sampler, rows: list[Any], start: int = 0) -> Conditions:
    """What `rows`, of the case's from number `start` on, are sampled with."""
    noise = case.inputs["latents"][start : start + len(rows)]
    return replace(sampler.condition(rows, case.bucket), noise=noise)
