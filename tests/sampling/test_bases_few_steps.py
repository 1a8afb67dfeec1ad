"""Few-step bases: distilled UNets, LoRAs and their schedulers run through the stock pipelines, row by row the same."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from doubles.tiny_recipe import lora
from safetensors.torch import load_file, save_file

from idgen.recipes.recipe import Base
from idgen.sampling import bases, schedulers
from idgen.tiny import world

PROMPTS = ["a woman in a garden", "neon street at night", ""]
SPECS = {
    "sd15 lcm": (Base(weights="tiny:sd15", loras=[lora("sd15")]), "lcm", 4),
    "sd15 turbo": (Base(weights="tiny:sd15"), "turbo", 2),
    "sdxl lcm": (Base(kind="sdxl", weights="tiny:sdxl", loras=[lora("sdxl")]), "lcm", 4),
    "sdxl lightning": (Base(kind="sdxl", weights="tiny:sdxl", unet="tiny:sdxl_lightning_unet"), "lightning", 4),
    "sdxl turbo": (Base(kind="sdxl", weights="tiny:sdxl"), "turbo", 1),
}


def load(spec):
    torch.set_num_threads(1)
    base = bases.load(replace(spec, dtype="float32"))
    base.place(torch.device("cpu"))
    base.dtype = torch.float64  # random UNets blow float32's rounding up to what a leak from row to row would be
    base.pipeline.to(base.dtype)
    return base


@torch.inference_mode()
def sample(base, rows, scheduler, steps, guidance=0.0):
    """Return the latents of rows (prompt's number and seed), one generator each, without guidance."""
    texts = [base.encode(PROMPTS[row]) for row in rows]
    words = {"prompt_embeds": torch.stack([text.embeddings for text in texts])}
    if texts[0].pooled is not None:
        words["pooled_prompt_embeds"] = torch.stack([text.pooled for text in texts])
    base.pipeline.scheduler = schedulers.make(scheduler, base.pipeline.scheduler.config)
    return base.pipeline(
        **words,
        generator=[torch.Generator().manual_seed(row) for row in rows],
        num_inference_steps=steps,
        guidance_scale=guidance,
        width=64,
        height=64,
        output_type="latent",
    ).images


@pytest.mark.parametrize("name", SPECS)
def test_a_batch_equals_its_rows_alone(name):
    spec, scheduler, steps = SPECS[name]
    base = load(spec)
    seen = []
    hook = base.pipeline.unet.register_forward_hook(lambda _module, args, _out: seen.append(len(args[0])))
    together = sample(base, [0, 1, 2], scheduler, steps)
    assert seen == [3] * steps  # guidance is off: one row of the UNet per picture
    hook.remove()
    alone = torch.cat([sample(base, [row], scheduler, steps) for row in (0, 1, 2)])
    turned = sample(base, [2, 0, 1], scheduler, steps)
    limit = 1e-8 * alone.abs().max()
    assert torch.isfinite(alone).all()
    assert (together - alone).abs().max() < limit
    assert (turned[[1, 2, 0]] - alone).abs().max() < limit
    assert (alone[0] - alone[1]).abs().max() > 1e6 * limit


def test_a_distilled_unet_and_an_lcm_lora_change_the_picture():
    for name in ("sdxl lightning", "sdxl lcm"):
        spec, scheduler, steps = SPECS[name]
        plain = replace(spec, loras=[], unet="")
        ours, others = (sample(load(one), [0], scheduler, steps) for one in (spec, plain))
        assert (ours - others).abs().max() > 0.1


@pytest.fixture
def guided_by_embedding(tmp_path):
    """An LCM: its UNet is told the guidance scale."""

    def make(kind):
        folder = tmp_path / kind
        shutil.copytree(world.locate(kind), folder)
        settings = folder / "unet/config.json"
        settings.write_text(json.dumps({**json.loads(settings.read_text()), "time_cond_proj_dim": 32}))
        (path,) = (folder / "unet").glob("*.safetensors")
        tensors = load_file(path)
        width = tensors["time_embedding.linear_1.weight"].shape[1]
        weight = torch.randn(width, 32, generator=torch.Generator().manual_seed(0)) * 0.3
        save_file({**tensors, "time_embedding.cond_proj.weight": weight.to(torch.float16)}, path)
        return Base(kind=kind, weights=str(folder))

    return make


@pytest.mark.parametrize("kind", ["sd15", "sdxl"])
def test_an_lcm_unet_gets_its_guidance_from_the_pipeline_and_no_second_row(guided_by_embedding, kind):
    base = load(guided_by_embedding(kind))
    seen = []

    def note(_module, args, kwargs, _out):
        seen.append((len(args[0]), kwargs["timestep_cond"]))

    hook = base.pipeline.unet.register_forward_hook(note, with_kwargs=True)
    pictures = {scale: sample(base, [0, 1], "lcm", 2, guidance=scale) for scale in (1.5, 8.0)}
    hook.remove()
    assert [rows for rows, _ in seen] == [2] * 4
    expected = base.pipeline.get_guidance_scale_embedding(torch.tensor([0.5, 0.5]), embedding_dim=32)
    assert torch.equal(seen[0][1], expected.double())
    assert (pictures[1.5] - pictures[8.0]).abs().max() > 0.01
    alone = torch.cat([sample(base, [row], "lcm", 2, guidance=8.0) for row in (0, 1)])
    assert (pictures[8.0] - alone).abs().max() < 1e-8 * alone.abs().max()
