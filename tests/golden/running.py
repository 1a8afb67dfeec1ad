"""Runs a golden case through the product's sampler and says how far its tensors are from the original's."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

import torch
from golden.cases import Case
from golden.identity_cases import StoredLabels
from torch import Tensor

from idgen.adapters.protocol import Person
from idgen.adapters.pulid import Pulid
from idgen.sampling.conditions import Conditions
from idgen.sampling.rows import Bucket, SampleRow
from idgen.sampling.sampler import Sampler

LIMITS = {
    "prompt_embeds": "prompt_embeds",
    "negative_prompt_embeds": "prompt_embeds",
    "pooled_prompt_embeds": "prompt_embeds",
    "negative_pooled_prompt_embeds": "prompt_embeds",
    "tokens_cond": "tokens",
    "tokens_uncond": "tokens",
    "face_tokens_cond": "face_tokens",
    "face_tokens_uncond": "face_tokens",
    "noise_pred_cond": "noise_pred",
    "noise_pred_uncond": "noise_pred",
    "latents": "latents",
    "latents_steps": "latents_steps",
}
"""Tensor of a case -> the line of its tolerances that bounds it."""


def load(case: Case, dtype: str = "float32", device: str = "cpu") -> Sampler:
    """Return the sampler of a case's recipe, as production loads it; float32 is float32 on every device."""
    if device != "cpu":  # the process's own setting, which other tests look at
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    torch.set_num_threads(1)
    recipe = replace(case.recipe, base=replace(case.recipe.base, dtype=dtype))
    sampler = Sampler.load(recipe, lora_scale=case.lora_scale, device=device)
    for adapter in sampler.adapters:
        if isinstance(adapter, Pulid):
            adapter.eye.parser = StoredLabels(case.inputs["aligned_face"], case.inputs["parsing_labels"], device)
    return sampler


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
        found["tokens_uncond"], found["tokens_cond"] = tokens(conditions, case).chunk(2)
    if conditions.context is not None and "face_tokens_cond" in case.expected:
        found["face_tokens_uncond"], found["face_tokens_cond"] = conditions.context.flatten(1, 2).chunk(2)
    return {name: tensor.cpu() for name, tensor in found.items() if tensor is not None}


def tokens(conditions: Conditions, case: Case) -> Tensor:
    """Return the first adapter's tokens [R, n*T, D], those of a row's references one after another.

    Without PuLID's zero tokens, which the cases leave out.
    """
    together = conditions.tokens[0].flatten(1, 2)
    real = together.shape[1] - case.facts["scale"].get("num_zero", 0)
    assert not together[:, real:].any()
    return together[:, :real]


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


def person(row: SampleRow) -> Person:
    """Return a row's person as adapters get it."""
    return Person(row.id_embedding, row.crops)


class _FirstIsDoneError(Exception):
    """Ends a run after the UNet's first call."""


def first(sampler: Sampler, conditions: Conditions, bucket: Bucket, case: Case) -> dict[str, Tensor]:
    """Return the UNet's first predictions alone."""
    found: list[Tensor] = []

    def keep(_module: object, _args: object, out: tuple[Tensor]) -> None:
        found.append(out[0])
        raise _FirstIsDoneError

    hook = sampler.pipeline.unet.register_forward_hook(keep)
    with suppress(_FirstIsDoneError):
        sampler.denoise(replace(conditions, noise=case.inputs.get("latents", conditions.noise)), bucket)
    hook.remove()
    return dict(zip(("noise_pred_uncond", "noise_pred_cond"), found[0].chunk(2), strict=True))


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
