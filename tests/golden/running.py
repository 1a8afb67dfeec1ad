"""Runs a golden case through the product's sampler and says how far its tensors are from the original's."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from golden.cases import Case
from torch import Tensor

from idgen.sampling.conditions import Conditions
from idgen.sampling.rows import Bucket
from idgen.sampling.sampler import Sampler

LIMITS = {
    "prompt_embeds": "prompt_embeds",
    "negative_prompt_embeds": "prompt_embeds",
    "pooled_prompt_embeds": "prompt_embeds",
    "negative_pooled_prompt_embeds": "prompt_embeds",
    "tokens_cond": "tokens",
    "tokens_uncond": "tokens",
    "noise_pred_cond": "noise_pred",
    "noise_pred_uncond": "noise_pred",
    "latents": "latents",
    "latents_steps": "latents_steps",
}
"""Tensor of a case -> the line of its tolerances that bounds it."""


def load(case: Case, dtype: str = "float32") -> Sampler:
    """Return the sampler of a case's recipe, as production loads it."""
    torch.set_num_threads(1)
    recipe = replace(case.recipe, base=replace(case.recipe.base, dtype=dtype))
    return Sampler.load(recipe, lora_scale=case.lora_scale, device="cpu")


def run(sampler: Sampler, case: Case) -> dict[str, Tensor]:
    """Sample all rows of the case as one batch and return every tensor it is judged by."""
    conditions = sampler.condition(case.rows, case.bucket)
    predictions, steps = denoise(sampler, conditions, case.bucket, case)
    uncond, cond = predictions[0].chunk(2)
    found = {
        "prompt_embeds": conditions.prompt,
        "negative_prompt_embeds": conditions.negative,
        "pooled_prompt_embeds": conditions.pooled,
        "negative_pooled_prompt_embeds": conditions.negative_pooled,
        "noise_pred_cond": cond,
        "noise_pred_uncond": uncond,
        "latents": steps[-1],
        "latents_steps": torch.stack(steps),
    }
    if conditions.tokens:
        # those of a row's references stand one after another: [R, n, T, D] -> [R, n*T, D]
        found["tokens_uncond"], found["tokens_cond"] = conditions.tokens[0].flatten(1, 2).chunk(2)
    return {name: tensor for name, tensor in found.items() if tensor is not None}


def denoise(sampler: Sampler, conditions: Conditions, bucket: Bucket, case: Case) -> tuple[list[Tensor], list[Tensor]]:
    """Return the UNet's outputs and the latents after each step, from the case's own noise where it has no seeds."""
    predictions: list[Tensor] = []
    steps: list[Tensor] = []
    hook = sampler.pipeline.unet.register_forward_hook(lambda _module, _args, out: predictions.append(out[0]))
    noisy = replace(conditions, noise=case.inputs.get("latents", conditions.noise))
    last = sampler.denoise(noisy, bucket, on_step=lambda _step, now: steps.append(now))
    hook.remove()
    assert torch.equal(last, steps[-1])
    return predictions, steps


def wanted(case: Case) -> dict[str, Tensor]:
    """Return the tensors that a case has, of those it is judged by."""
    return {name: tensor for name, tensor in (case.inputs | case.expected).items() if name in LIMITS}


def differences(case: Case, found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, float]:
    """Return the largest absolute difference of each expected tensor and print it (`pytest -s`)."""
    values = {}
    for name, tensor in expected.items():
        assert found[name].shape == tensor.shape, name
        values[name] = (found[name].float() - tensor.float()).abs().max().item()
        print(f"{case.id} {name}: {values[name]:.2e} of {case.facts['tolerance'][LIMITS[name]]:.0e}")  # noqa: T201
    return values


def beyond(case: Case, values: Mapping[str, float]) -> set[str]:
    """Return the names of the tensors that are further away than the case allows."""
    return {name for name, value in values.items() if not value <= case.facts["tolerance"][LIMITS[name]]}
