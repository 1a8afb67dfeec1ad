"""The sampler gives what the original implementations gave, step by step, on their weights' own layout.

All rows of a case run as one batch, through the code that production runs. `-s` prints the differences.
"""

from dataclasses import replace

import pytest
import torch
from golden.cases import Case, find

from idgen.sampling.sampler import Sampler

pytestmark = pytest.mark.golden

CASES = list(find())


def test_the_case_that_a_clone_carries_is_found():
    assert "golden/ip-adapter-faceid_sd15" in {case.id for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_every_tensor_is_within_the_cases_tolerance(case: Case):
    torch.set_num_threads(1)
    sampler = Sampler.load(case.recipe, lora_scale=case.facts["scale"]["lora_scale"], device="cpu")
    found = run(sampler, case)
    assert {
        key: value
        for key, value in case.facts["scheduler"]["config"].items()
        if sampler.pipeline.scheduler.config[key] != value
    } == {}
    tolerance = case.facts["tolerance"]
    limits = {"prompt_embeds": "prompt_embeds", "negative_prompt_embeds": "prompt_embeds"}
    limits |= dict.fromkeys(("tokens_cond", "tokens_uncond"), "tokens")
    limits |= dict.fromkeys(("noise_pred_cond", "noise_pred_uncond"), "noise_pred")
    limits |= {"latents": "latents", "latents_steps": "latents_steps"}
    differences = {}
    for name, limit in limits.items():
        expected = case.expected.get(name, case.inputs.get(name))
        assert found[name].shape == expected.shape, name
        differences[name] = (found[name] - expected).abs().max().item()
        print(f"{case.id} {name}: {differences[name]:.2e} of {tolerance[limit]:.0e}")  # noqa: T201
    assert {name for name, value in differences.items() if not value <= tolerance[limits[name]]} == set()
    assert case.expected["latents"].abs().max() > 100 * tolerance["latents"]


def run(sampler: Sampler, case: Case) -> dict[str, torch.Tensor]:
    """Sample the case and return every tensor it is judged by."""
    conditions = sampler.condition(case.rows, case.bucket)
    conditions = replace(conditions, noise=case.inputs["latents"])
    predictions: list[torch.Tensor] = []
    steps: list[torch.Tensor] = []
    hook = sampler.pipeline.unet.register_forward_hook(lambda _module, _args, out: predictions.append(out[0]))
    latents = sampler.denoise(conditions, case.bucket, on_step=lambda _step, now: steps.append(now))
    hook.remove()
    uncond, cond = predictions[0].chunk(2)
    # one reference per row: [R, 1, T, D] -> [R, T, D]
    tokens_uncond, tokens_cond = conditions.tokens[0].flatten(1, 2).chunk(2)
    return {
        "prompt_embeds": conditions.prompt,
        "negative_prompt_embeds": conditions.negative,
        "tokens_cond": tokens_cond,
        "tokens_uncond": tokens_uncond,
        "noise_pred_cond": cond,
        "noise_pred_uncond": uncond,
        "latents": latents,
        "latents_steps": torch.stack(steps),
    }
