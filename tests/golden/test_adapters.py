"""The sampler gives what the original implementations gave, step by step, on their weights' own layout.

All rows of a case run as one batch, through the code that production runs. `-s` prints the differences.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from golden import running, stock
from golden.cases import BARE, KINDS, Case, find

from idgen.adapters.ip_adapter import IpAdapter
from idgen.adapters.pulid import Pulid
from idgen.networks.face_features import face_feature_image
from idgen.networks.image_encoder import normalise
from idgen.networks.pulid import face_features
from idgen.sampling.sampler import Sampler

pytestmark = pytest.mark.golden

CASES = list(find())


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.id)
def loaded(request) -> tuple[Case, Sampler]:
    return request.param, running.load(request.param)


def test_the_case_that_a_clone_carries_is_found():
    assert "golden/ip-adapter-faceid_sd15" in {case.id for case in CASES}


def test_beside_the_open_goldens_every_case_of_the_family_is_run():
    shared = {case.facts["adapter"] for case in CASES if case.root.name == "goldens"}
    if not shared:
        pytest.skip("no ../shared/goldens beside this checkout")
    assert shared == {*KINDS, *BARE}


def test_every_tensor_is_within_the_cases_tolerance(loaded):
    case, sampler = loaded
    found, expected = running.run(sampler, case), running.wanted(case)
    assert {
        key: value
        for key, value in case.facts["scheduler"]["config"].items()
        if sampler.pipeline.scheduler.config[key] != value
    } == {}
    assert found.keys() == expected.keys()
    values = running.differences(case, found, expected)
    beyond = running.beyond(case, values)
    if beyond and case.recipe.base.kind == "kolors":
        assert not running.beyond(case, {name: values[name] / stock.ROUNDING for name in beyond})
        own = stock.run(case)
        beyond -= {name for name in beyond & own.keys() if torch.equal(found[name], own[name])}
    assert beyond == set()
    assert expected["latents"].abs().max() > 100 * case.facts["tolerance"]["latents"]


@pytest.mark.parametrize("case", [case for case in CASES if case.facts["adapter"] in BARE], ids=lambda case: case.id)
def test_a_base_alone_gives_the_bits_that_its_stock_pipeline_gives_from_prompts_and_pixels(case):
    found, own = running.run(running.load(case), case), stock.run(case)
    assert found.keys() == own.keys()
    assert {name for name in own if not torch.equal(found[name], own[name])} == set()


def test_an_image_to_image_row_starts_where_the_original_does():
    cases = [case for case in CASES if "noised_latents" in case.inputs]
    if not cases:
        pytest.skip("no ../shared/goldens beside this checkout")
    for case in cases:
        conditions = running.load(case).condition(case.rows, case.bucket)
        assert torch.equal(conditions.noise, case.inputs["noise"])
        assert (conditions.start - case.inputs["image_latents"]).abs().max() <= 1e-5


def test_conditional_tokens_alone_predict_what_they_predict_beside_unconditional_ones(loaded):
    case, sampler = loaded
    unguided = replace(case.bucket, guidance_scale=1.0)
    predictions, _ = running.denoise(sampler, sampler.condition(case.rows, unguided), unguided, case)
    assert len(predictions[0]) == len(case.rows)
    value = (predictions[0] - case.expected["noise_pred_cond"]).abs().max().item()
    print(f"{case.id} noise_pred_cond without guidance: {value:.2e}")  # noqa: T201
    rounding = stock.ROUNDING if case.facts["adapter"] in BARE else 1
    assert value <= rounding * case.facts["tolerance"]["noise_pred"]


def test_pictures_reach_the_adapter_as_the_original_saw_them(loaded):
    case, sampler = loaded
    if case.facts["encoder"] is None:
        pytest.skip("this adapter looks at no picture")
    pixels = np.concatenate([next(iter(row.crops.values())) for row in case.rows])
    found = seen_by(sampler.adapters[0], pixels)
    seen = {name: tensor for name, tensor in found.items() if name in case.inputs}
    assert seen.keys() & {"clip_image_embeds", "clip_hidden_states", "eva_hidden_states"}
    limits = {"pixel_values": 0, "eva_pixel_values": 1e-6}
    features = case.facts["tolerance"]["eva_hidden_states" if "eva_pooled" in found else "clip_features"]
    for name, tensor in seen.items():
        value = (tensor - case.inputs[name]).abs().max().item()
        print(f"{case.id} {name}: {value:.2e}")  # noqa: T201
        assert value <= limits.get(name, features), name


def seen_by(adapter: IpAdapter | Pulid, pixels: np.ndarray) -> dict[str, torch.Tensor]:
    """What goes into and comes out of the network that the adapter looks through."""
    if isinstance(adapter, Pulid):
        gray = face_feature_image(pixels, adapter.eye.parser.labels(pixels))
        seen = adapter.eye.features(pixels, antialias=adapter.settings.antialias)
        return {
            "eva_pixel_values": face_features(gray, 336, antialias=adapter.settings.antialias),
            "eva_pooled": seen.pooled,
            "eva_hidden_states": seen.hidden_states,
        }
    features = adapter.encoder.features(pixels)
    return {
        "pixel_values": torch.stack([normalise(picture) for picture in pixels]),
        "clip_image_embeds": features.image_embeds,
        "clip_hidden_states": features.hidden_states,
        "clip_hidden_states_uncond": adapter.encoder.zeros.hidden_states,
    }
