"""Kolors samples what its stock pipelines do, row by row; nothing that is constant over the steps is made twice."""

import dataclasses
from dataclasses import replace

import diffusers
import numpy as np
import pytest
import torch
from doubles.tiny_recipe import recipe, row, row_for
from torch import Tensor
from torch.nn import functional

from idgen.networks import attention
from idgen.recipes.recipe import Base, Recipe
from idgen.recipes.schedulers import SCHEDULERS
from idgen.sampling import schedulers
from idgen.sampling.decoding import decode
from idgen.sampling.families import cross_attention
from idgen.sampling.rows import Bucket
from idgen.sampling.sampler import Sampler
from idgen.tiny import world

TOLERANCE = 2e-4
"""For latents of 10 or so."""
BUCKET = Bucket(width=96, height=64, num_inference_steps=3, scheduler="euler", guidance_scale=5.0)
"""Not square, so that width and height cannot change places."""
BUCKETS = {"KolorsPipeline": BUCKET, "KolorsImg2ImgPipeline": replace(BUCKET, strength=0.7)}


def picture(number):
    return np.random.default_rng(number).integers(0, 256, (64, 96, 3), np.uint8)


ROWS = [
    row(key=str(seed), prompt=prompt, negative_prompt=negative, seed=seed, init_image=picture(seed))
    for seed, (prompt, negative) in enumerate([("一位女士在花园里", ""), ("neon street", "低质量，模糊"), ("", None)])
]
"""No field is the same in any two of them."""


def load(**changes):
    torch.set_num_threads(1)
    made = Recipe(name="k", base=Base(kind="kolors", weights="tiny:kolors", dtype="float32"))
    return Sampler.load(replace(made, **changes), lora_scale=1.0, device="cpu")


@pytest.fixture(scope="module")
def sampler():
    return load()


def latents(sampler, rows, bucket):
    return sampler.denoise(sampler.condition(rows, bucket), bucket)


def difference(one, other):
    return (one - other).abs().max().item()


def limit_for(expected):
    return TOLERANCE * max(1, expected.abs().max().item() / 10)


@pytest.mark.parametrize("kind", BUCKETS)
def test_three_rows_that_differ_in_everything_are_the_same_alone_together_and_in_any_order(sampler, kind):
    bucket = BUCKETS[kind]
    alone = torch.cat([latents(sampler, [one], bucket) for one in ROWS])
    assert torch.isfinite(alone).all()
    limit = limit_for(alone)
    assert difference(latents(sampler, ROWS, bucket), alone) < limit
    turned = latents(sampler, [ROWS[2], ROWS[0], ROWS[1]], bucket)
    assert difference(turned[[1, 2, 0]], alone) < limit
    assert difference(turned, alone) > 100 * limit
    assert len(sampler.sample(ROWS, bucket)) == 3


def stock(kind, bucket, one, **words):
    """A row as the stock pipeline makes it from its prompt and pixels, text encoder included; `words` are its."""
    pipeline = getattr(diffusers, kind).from_pretrained(world.locate("kolors"), dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler = schedulers.make(bucket.scheduler, dict(pipeline.scheduler.config))
    start = torch.from_numpy(one.init_image)[None].permute(0, 3, 1, 2).float() / 255
    return pipeline(
        prompt=one.prompt,
        negative_prompt=one.negative_prompt,
        generator=torch.Generator().manual_seed(one.seed),
        num_inference_steps=bucket.num_inference_steps,
        guidance_scale=bucket.guidance_scale,
        width=bucket.width,
        height=bucket.height,
        output_type="latent",
        **({"image": start, "strength": bucket.strength} if bucket.strength else {}),
        **words,
    ).images


@pytest.mark.parametrize("kind", BUCKETS)
@pytest.mark.parametrize("guidance", [5.0, 1.0])
def test_rows_in_a_batch_equal_the_stock_pipeline(sampler, kind, guidance):
    bucket = replace(BUCKETS[kind], guidance_scale=guidance)
    ours = latents(sampler, ROWS, bucket)
    assert type(sampler.denoising.get(bucket)).__name__ == kind
    theirs = torch.cat([stock(kind, bucket, one) for one in ROWS])
    assert difference(ours, theirs) < limit_for(theirs)


def test_pictures_are_the_stock_pipelines_byte_for_byte():
    sampler = load()
    plain = diffusers.KolorsPipeline.from_pretrained(world.locate("kolors"), dtype=torch.float32)
    plain.set_progress_bar_config(disable=True)
    for output, made in (("latent", []), ("pil", [])):
        generators = [torch.Generator().manual_seed(seed) for seed in range(2)]
        made += plain(["a boat", "花"], num_inference_steps=1, width=64, height=48, generator=generators,
                      output_type=output).images  # fmt: skip
        if output == "latent":
            with torch.inference_mode():
                ours = list(decode(sampler.pipeline.vae, torch.stack(made)))
    assert all(np.array_equal(one, pil) for one, pil in zip(ours, made, strict=True))
    assert not torch.equal(*ours)


def test_time_ids_are_the_pictures_height_and_width_in_both_pipelines(sampler):
    seen = []
    unet = sampler.pipeline.unet
    hook = unet.register_forward_pre_hook(
        lambda _module, _args, words: seen.append(words["added_cond_kwargs"]["time_ids"]), with_kwargs=True
    )
    for bucket in BUCKETS.values():
        latents(sampler, ROWS[:1], bucket)
    hook.remove()
    assert len(seen) == 3 + 2
    assert {tuple(row.tolist()) for ids in seen for row in ids} == {(64, 96, 0, 0, 64, 96)}


def test_the_stock_image_to_image_pipeline_still_forgets_pooled_embeddings(sampler):
    """When this fails, diffusers has mended it: pipelines.KolorsStart may go."""
    bucket = BUCKETS["KolorsImg2ImgPipeline"]
    words = sampler.denoising.arguments(sampler.condition(ROWS, bucket), bucket, sampler.device)
    plain = diffusers.KolorsImg2ImgPipeline(**sampler.pipeline.components)
    plain.set_progress_bar_config(disable=True)
    with pytest.raises(AttributeError):
        plain(**words)


@pytest.fixture(scope="module")
def with_face():
    """(recipe, sampler) with one adapter whose tokens go through the text's projection and one whose do not."""
    made = recipe("kolors_faceid_plus")
    made = replace(made, adapters=[*made.adapters, *recipe("kolors_ip_adapter_plus").adapters])
    return made, load(adapters=made.adapters)


def test_text_and_tokens_are_projected_once_per_batch(with_face, monkeypatch):
    made, sampler = with_face
    rows = [row_for(made, number, prompt=f"{number}") for number in (1, 2)]
    bucket = replace(BUCKET, width=64)
    conditions = sampler.condition(rows, bucket)
    passed: list[Tensor] = []
    tokens_in: list[Tensor] = []
    projection = sampler.pipeline.unet.encoder_hid_proj
    hook = projection.register_forward_pre_hook(lambda _module, args: passed.append(args[0]))
    through = cross_attention.through_text
    monkeypatch.setattr(cross_attention, "through_text", lambda linear, t: tokens_in.append(t) or through(linear, t))
    sampler.bind(conditions)
    hook.remove()
    assert [states.shape for states in passed] == [(4, 256, 128)]
    assert [id(tokens) for tokens in tokens_in] == [id(conditions.tokens[0])]
    sampler.denoise(conditions, bucket)
    assert len(tokens_in) == 2  # denoise binds once, whatever the number of steps


@torch.inference_mode()
def test_what_is_bound_is_the_projected_text_and_the_tokens_that_are_text_wide(with_face):
    made, sampler = with_face
    conditions = sampler.condition([row_for(made, 1)], BUCKET)
    sampler.bind(conditions)
    unet = sampler.pipeline.unet
    name, bound = next((n, p) for n, p in unet.attn_processors.items() if attention.is_cross(n))
    linear = attention.layer(unet, name).to_k
    states = unet.encoder_hid_proj(torch.cat([conditions.negative, conditions.prompt]))
    assert torch.equal(bound.text_key.transpose(1, 2).flatten(2), linear(states))
    face, style = conditions.tokens
    assert (face.shape[-1], style.shape[-1]) == (128, 96)
    for branch, tokens in zip(bound.branches, (unet.encoder_hid_proj(face), style), strict=True):
        expected = functional.linear(tokens.flatten(1, 2), branch.k.weight.float())
        assert difference(branch.key.transpose(1, 2).flatten(2), expected) < 1e-5


def test_in_lower_precision_tokens_are_still_projected_in_float32(with_face):
    made, exact = with_face
    base = replace(made.base, dtype="bfloat16")
    rough = load(base=base, adapters=made.adapters)
    conditions = exact.condition([row_for(made, 1)], BUCKET)
    ours, unets = (
        project(rough.pipeline.unet.encoder_hid_proj, conditions.tokens[0])
        for project in (cross_attention.through_text, lambda linear, t: linear(t.bfloat16()))
    )
    wanted = cross_attention.through_text(exact.pipeline.unet.encoder_hid_proj, conditions.tokens[0])
    assert ours.dtype == torch.float32
    assert difference(ours, wanted) < difference(unets, wanted)


def on_meta(conditions):
    """The tensors on the meta device; noise and generators stay where they are drawn."""
    parts = {field.name: getattr(conditions, field.name) for field in dataclasses.fields(conditions)}
    moved = {n: part.to("meta") for n, part in parts.items() if isinstance(part, Tensor) and n != "noise"}
    return replace(conditions, **moved)


@pytest.mark.slow
def test_no_step_asks_the_device_for_a_number(monkeypatch):
    """Meta tensors have no numbers: what would wait for a GPU raises there."""
    sampler = load()
    buckets = [replace(bucket, num_inference_steps=2) for bucket in BUCKETS.values()]
    given = {bucket: sampler.condition(ROWS[:1], bucket) for bucket in buckets}
    sampler.device = torch.device("meta")
    sampler.base.place(sampler.device)
    plain, from_picture = buckets
    by_class = {scheduler.class_name: name for name, scheduler in SCHEDULERS.items()}
    for bucket in (*(replace(plain, scheduler=name) for name in by_class.values()), from_picture):
        conditions = given[plain if bucket.strength is None else from_picture]
        assert sampler.denoise(on_meta(conditions), bucket).is_meta
    monkeypatch.delattr(schedulers.HostTimesteps, "set_timesteps")
    with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
        sampler.denoise(on_meta(given[plain]), plain)


@pytest.mark.slow
def test_edm_dpmsolver_multistep_comes_nearer_with_steps_and_the_stock_class_of_that_name_does_not(sampler):
    bucket = Bucket(width=64, height=64, num_inference_steps=400, scheduler="euler", guidance_scale=5.0)
    near = latents(sampler, ROWS[:1], bucket)

    def away(steps, scheduler="edm_dpmsolver_multistep"):
        used = replace(bucket, num_inference_steps=steps, scheduler=scheduler)
        return difference(latents(sampler, ROWS[:1], used), near)

    at_25, at_100 = away(25), away(100)
    assert 0 < at_100 < at_25 / 2
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schedulers, "make", lambda *_: diffusers.EDMDPMSolverMultistepScheduler())
        stock_25, stock_60 = away(25), away(60)
    assert stock_25 > 5 * at_25
    assert stock_60 == pytest.approx(stock_25, rel=0.02)
