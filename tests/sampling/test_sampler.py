"""A row's picture is its own: what stands beside it in a batch, and in which order, changes nothing."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from doubles.tiny_recipe import BUCKET, TINY, person, row

from idgen.errors import Code, RowError
from idgen.sampling import schedulers
from idgen.sampling.sampler import Sampler
from idgen.tiny import world

TOLERANCE = 1e-4
# no field is the same in any two rows
ROWS = [
    row(prompt="a woman in a garden", negative_prompt="lowres", seed=1, id_embedding=person(1), ip_adapter_scale=0.4),
    row(prompt="neon street at night", negative_prompt="", seed=2, id_embedding=person(2), ip_adapter_scale=1.0),
    row(prompt="", negative_prompt="bad anatomy", seed=2**62, id_embedding=person(3), ip_adapter_scale=0.0),
]


def latents(sampler, rows, bucket=BUCKET):
    return sampler.denoise(sampler.condition(rows, bucket), bucket)


def difference(one, other):
    return (one - other).abs().max().item()


@pytest.mark.parametrize("scheduler", ["ddim", "euler_a", "dpmpp_2m_karras", "dpmpp_sde_karras", "kdpm2_karras"])
def test_a_row_is_the_same_alone_together_and_in_any_order(sampler, scheduler):
    bucket = replace(BUCKET, scheduler=scheduler)
    alone = torch.cat([latents(sampler, [one], bucket) for one in ROWS])
    together = latents(sampler, ROWS, bucket)
    permuted = latents(sampler, [ROWS[2], ROWS[0], ROWS[1]], bucket)
    assert torch.isfinite(alone).all()
    limit = TOLERANCE * max(1, alone.abs().max() / 10)  # Karras ones reach 20 with random weights; ddim 7
    assert difference(together, alone) < limit
    assert difference(permuted[[1, 2, 0]], alone) < limit


def test_without_guidance_too(sampler):
    bucket = replace(BUCKET, guidance_scale=1.0)
    alone = torch.cat([latents(sampler, [one], bucket) for one in ROWS])
    assert difference(latents(sampler, ROWS, bucket), alone) < TOLERANCE


def test_with_two_references_each_too(sampler):
    bucket = replace(BUCKET, n_references=2)
    rows = [replace(one, id_embedding=person(number, 2)) for number, one in enumerate(ROWS)]
    alone = torch.cat([latents(sampler, [one], bucket) for one in rows])
    assert difference(latents(sampler, rows, bucket), alone) < TOLERANCE


@pytest.mark.parametrize(
    "change",
    [
        {"id_embedding": person(9)},
        {"prompt": "a red car"},
        {"negative_prompt": "sunny"},
        {"seed": 99},
        {"ip_adapter_scale": 0.5},
    ],
)
def test_every_field_of_a_row_changes_its_picture_visibly_and_no_other(sampler, change):
    before = latents(sampler, ROWS[:2])
    after = latents(sampler, [replace(ROWS[0], **change), ROWS[1]])
    assert difference(before[0], after[0]) > 100 * TOLERANCE
    assert difference(before[1], after[1]) < TOLERANCE


def test_two_people_swapped_give_other_pictures(sampler):
    swapped = [
        replace(ROWS[0], id_embedding=ROWS[1].id_embedding),
        replace(ROWS[1], id_embedding=ROWS[0].id_embedding),
    ]
    before, after = latents(sampler, ROWS[:2]), latents(sampler, swapped)
    assert min(difference(before[i], after[i]) for i in range(2)) > 100 * TOLERANCE


def test_ip_adapter_scale_0_and_lora_scale_0_give_the_base_alone():
    plain = replace(TINY, adapters=[])
    base = latents(Sampler.load(plain, lora_scale=1.0, device="cpu"), [row()])
    silent = Sampler.load(TINY, lora_scale=0.0, device="cpu")
    off = latents(silent, [row(ip_adapter_scale=0.0)])
    assert difference(off, base) < 1e-5
    assert difference(latents(silent, [row()]), base) > 100 * TOLERANCE


def test_the_lora_alone_changes_the_picture(sampler):
    base = latents(Sampler.load(replace(TINY, adapters=[]), lora_scale=1.0, device="cpu"), [row()])
    assert difference(latents(sampler, [row(ip_adapter_scale=0.0)]), base) > 100 * TOLERANCE


def test_prompts_and_people_are_encoded_once_each(sampler):
    fresh = Sampler(sampler.base, sampler.adapters, sampler.device)
    rows = [
        row(prompt=prompt, negative_prompt="lowres", seed=seed, id_embedding=person(who))
        for seed, (prompt, who) in enumerate([("x", 1), ("y", 1), ("x", 2), ("lowres", 2)])
    ]
    fresh.condition(rows, BUCKET)
    fresh.condition(rows[::-1], BUCKET)
    assert fresh.counts.prompt_encodings == 3  # x, y, lowres
    assert fresh.counts.token_projections == 2


def test_keys_and_values_of_identity_and_text_are_made_once_per_batch(sampler):
    watched = [part for branch in sampler.adapters[0].branches for part in (branch.k, branch.v)]
    for name, layer in sampler.pipeline.unet.named_modules():
        if name.endswith("attn2"):
            watched += [layer.to_k, layer.to_v]
    calls = []
    hooks = [part.register_forward_hook(lambda *_: calls.append(1)) for part in watched]
    sampler.sample(ROWS, BUCKET)
    for hook in hooks:
        hook.remove()
    assert len(watched) == len(calls) == 4 * 16


def test_the_unguided_batch_has_half_the_rows(sampler):
    seen = []
    hook = sampler.pipeline.unet.register_forward_hook(lambda _m, args, _out: seen.append(len(args[0])))
    for guidance in (7.5, 1.0, 0.0):
        latents(sampler, ROWS, replace(BUCKET, guidance_scale=guidance, num_inference_steps=1))
    hook.remove()
    assert seen == [6, 3, 3]


def test_pictures_equal_diffusers_pil_output_byte_by_byte(sampler):
    rows, bucket = ROWS[:2], BUCKET
    conditions = sampler.condition(rows, bucket)
    sampler.bind(conditions)
    pipeline = sampler.pipeline
    pipeline.scheduler = schedulers.make("ddim", pipeline.scheduler.config)
    expected = pipeline(
        prompt_embeds=conditions.prompt,
        negative_prompt_embeds=conditions.negative,
        latents=conditions.noise,
        num_inference_steps=4,
        guidance_scale=5.0,
        width=64,
        height=64,
    ).images
    for picture, pil in zip(sampler.sample(rows, bucket), expected, strict=True):
        assert picture.dtype == np.uint8
        assert np.array_equal(picture, np.asarray(pil))


def test_without_an_identity_the_picture_is_stock_diffusers_own(sampler):
    stock = StableDiffusionPipeline.from_pretrained(world.locate("sd15"), dtype=torch.float32)
    stock.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(1)
    call = {"num_inference_steps": 4, "guidance_scale": 5.0, "width": 64, "height": 64, "generator": generator}
    expected = stock("a woman in a garden", negative_prompt="lowres", output_type="latent", **call).images
    ours = latents(Sampler.load(replace(TINY, adapters=[]), lora_scale=1.0, device="cpu"), [row(seed=1)])
    assert difference(ours, expected) < 1e-5


def test_a_picture_that_decodes_to_no_numbers_fails_alone(sampler, monkeypatch):
    plain = sampler.denoise

    def spoil(conditions, bucket, on_step=None):
        spoiled = plain(conditions, bucket, on_step).clone()
        spoiled[1, 0, 0, 0] = float("nan")
        return spoiled

    good = sampler.sample(ROWS, BUCKET)
    monkeypatch.setattr(sampler, "denoise", spoil)
    first, second, third = sampler.sample(ROWS, BUCKET)
    assert isinstance(second, RowError)
    assert second.code == Code.NON_FINITE
    assert np.array_equal(first, good[0])
    assert np.array_equal(third, good[2])


def test_other_errors_pass_through(sampler, monkeypatch):
    monkeypatch.setattr(sampler.pipeline.unet, "forward", lambda *_a, **_k: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        sampler.sample(ROWS, BUCKET)


def test_the_working_dtype_is_the_recipes_and_close_to_float32(sampler):
    half = Sampler.load(
        replace(TINY, base=replace(TINY.base, dtype="bfloat16", vae_dtype="float32")), lora_scale=0.7, device="cpu"
    )
    assert half.pipeline.unet.dtype == half.pipeline.text_encoder.dtype == torch.bfloat16
    assert half.pipeline.vae.dtype == torch.float32
    first, second = (one.sample(ROWS[:1], BUCKET)[0].astype(float) for one in (half, sampler))
    assert np.abs(first - second).mean() < 12


@pytest.mark.slow
def test_compiled_blocks_take_every_count_of_rows_and_other_people_compile_nothing():
    sampler = Sampler.load(TINY, lora_scale=0.7, device="cpu")
    buckets = [replace(BUCKET, guidance_scale=guidance, num_inference_steps=1) for guidance in (5.0, 1.0)]
    rows = [*ROWS, replace(ROWS[0], seed=7)]
    batches = [(rows[:count], bucket) for count in (4, 3, 1) for bucket in buckets]
    expected = [latents(sampler, *batch) for batch in batches]
    graphs = []

    def backend(graph, _inputs):
        graphs.append(graph)
        return graph.forward

    torch._dynamo.reset()
    sampler.compile_blocks(backend=backend)
    with ThreadPoolExecutor(1) as pool:  # dynamo's settings are each thread's own
        compiled = [pool.submit(latents, sampler, *batch).result() for batch in batches]
    assert max(difference(one, other) for one, other in zip(compiled, expected, strict=True)) < 1e-5
    count = len(graphs)
    assert count > 0
    latents(sampler, [ROWS[2], replace(ROWS[0], id_embedding=person(8)), ROWS[1]], buckets[0])
    assert len(graphs) == count
