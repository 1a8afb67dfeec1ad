"""What diffusers' own Kolors pipelines make of a case on this machine, from its prompts and pixels.

The cases of Kolors alone are tighter than rounding: their tolerance is the floor, as on the machine that made them
(Intel, one thread) diffusers gives the original's bits. MKL adds up in another order on AMD, which moves the latents by
1.8e-4 of the 1e-4 allowed, and the padding's states by 1.1e-5 of 1e-5 (the original's own are 0.9e-5 from float64).
With MKL made to take Intel's path on the same AMD machine (LD_PRELOAD of a `mkl_serv_intel_cpu_true` that is 1) every
tensor is within its tolerance, and those of text to image differ by 0.
"""

import diffusers
import numpy as np
import torch
from golden.cases import BARE, Case
from torch import Tensor

ROUNDING = 4
"""Times the tolerance: what rounding may do on top of it."""


def run(case: Case) -> dict[str, Tensor]:
    """Return the tensors that `running.run` returns for a case without adapter, else the embeddings alone."""
    torch.set_num_threads(1)
    names = ("prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds")
    kind = "KolorsImg2ImgPipeline" if case.bucket.strength else "KolorsPipeline"
    pipeline = getattr(diffusers, kind).from_pretrained(case.root / "bases" / case.facts["base"], dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    texts = {"prompt": case.facts["prompts"], "negative_prompt": case.facts["negative_prompts"]}
    with torch.inference_mode():
        found = dict(zip(names, pipeline.encode_prompt(**texts), strict=True))
        return found | (_denoise(pipeline, case, texts) if case.facts["adapter"] in BARE else {})


def _start(pipeline, case: Case, generators: list[torch.Generator]) -> Tensor:
    """As the pipeline makes it from pixels, but for the order of its numbers in memory, which moves the last bits."""
    pixels = pipeline.image_processor.preprocess(case.inputs["image"].numpy().astype(np.float32) / 255)
    drawn = [
        pipeline.vae.encode(one).latent_dist.sample(generator)
        for one, generator in zip(pixels.split(1), generators, strict=True)
    ]
    return torch.cat(drawn).contiguous() * pipeline.vae.config.scaling_factor


def _denoise(pipeline, case: Case, texts: dict[str, list[str]]) -> dict[str, Tensor]:
    predictions, steps = [], []

    def keep(_pipeline, _step, _timestep, tensors):
        steps.append(tensors["latents"])
        return tensors

    pipeline.unet.register_forward_hook(lambda _module, _args, out: predictions.append(out[0]))
    if case.bucket.strength:
        generators = [torch.Generator().manual_seed(seed) for seed in case.facts["seeds"]]
        start = {"image": _start(pipeline, case, generators), "strength": case.bucket.strength, "generator": generators}
    else:
        start = {"latents": case.inputs["latents"]}
    pipeline(
        **texts,
        **start,
        width=case.bucket.width,
        height=case.bucket.height,
        num_inference_steps=case.bucket.num_inference_steps,
        guidance_scale=case.bucket.guidance_scale,
        output_type="latent",
        callback_on_step_end=keep,
    )
    uncond, cond = predictions[0].chunk(2)
    return {
        "noise_pred_cond": cond,
        "noise_pred_uncond": uncond,
        "latents": steps[-1],
        "latents_steps": torch.stack(steps),
    }
