"""The nets are told what each row says of sizes, as the stock pipelines would tell them for that row alone."""

import inspect
from contextlib import contextmanager
from dataclasses import replace

import pytest
import test_kolors_sampling as kolors
import test_pipelines_sdxl as sdxl
import torch
from doubles import tiny_ecomid as ecomid
from doubles.tiny_recipe import BUCKET, control, recipe
from torch import nn

from idgen.networks.identity_net import IdentityNet
from idgen.sampling import time_ids
from idgen.sampling.sampler import Sampler

WHOLE = {
    "original_height_px": 300, "original_width_px": 200, "crop_top_px": 7, "crop_left_px": 11, "target_height_px": 130,
    "target_width_px": 90,
}  # fmt: skip
TOLD = (WHOLE, {}, {"crop_top_px": 0, "crop_left_px": 40}, {"original_height_px": 30, "original_width_px": 20})
SIZE = {"width": 96, "height": 64}


def pipelines_words(told):
    """What a stock pipeline of SIZE is called with for a row."""
    get = told.get
    words = {}
    if "original_width_px" in told:
        words["original_size"] = (get("original_height_px"), get("original_width_px"))
    if "crop_top_px" in told:
        words["crops_coords_top_left"] = (get("crop_top_px"), get("crop_left_px"))
    if "target_width_px" in told:
        words["target_size"] = (get("target_height_px"), get("target_width_px"))
    return words


def stock_ids(pipeline, told, dtype=torch.float32):
    """[1, 6] as the stock pipeline makes them for one row."""
    own = {"original_size": (64, 96), "crops_coords_top_left": (0, 0), "target_size": (64, 96)} | pipelines_words(told)
    more = {"aesthetic_score": 6.0, "negative_aesthetic_score": 2.5}
    more |= {f"negative_{name}": value for name, value in own.items()}
    more |= {"dtype": dtype, "text_encoder_projection_dim": _pooled_width(pipeline.unet)}
    wanted = inspect.signature(pipeline._get_add_time_ids).parameters
    made = pipeline._get_add_time_ids(**{name: value for name, value in (own | more).items() if name in wanted})
    return made[0] if isinstance(made, tuple) else made


def _pooled_width(unet):
    return unet.add_embedding.linear_1.in_features - 6 * unet.config.addition_time_embed_dim


@contextmanager
def watching(nets):
    """Yield a list per net of the time ids that its layer of them is given, a flat tensor per call."""
    seen = [[] for _ in nets]
    hooks = [
        net.add_time_proj.register_forward_pre_hook(lambda _layer, args, into=into: into.append(args[0]))
        for net, into in zip(nets, seen, strict=True)
    ]
    yield seen
    for hook in hooks:
        hook.remove()


def check_told(sampler, rows, bucket, latents):
    """Every net is given the stock ids of every row in every step; return the latents."""
    nets = [sampler.pipeline.unet, *(sampler.nets[use.name] for use in bucket.controls)]
    before = [len(net._forward_pre_hooks) for net in nets]
    with watching(nets) as seen:
        made = latents(sampler, rows, bucket)
    one = torch.cat([stock_ids(sampler.denoising.get(bucket), row.told_sizes) for row in rows])
    wanted = one.repeat(2 if sampler.guided(bucket) else 1, 1).flatten()
    for given in seen:
        assert given
        assert all(torch.equal(ids, wanted) for ids in given)
    assert [len(net._forward_pre_hooks) for net in nets] == before
    return made


@pytest.fixture(scope="module")
def on_sdxl():
    torch.set_num_threads(1)
    chosen = recipe("faceid_sdxl", adapters=[], controls=[control("sdxl")])
    return Sampler.load(chosen, lora_scale=1.0, device="cpu")


SDXL_BUCKETS = {
    kind: replace(bucket, num_inference_steps=3, **SIZE)
    for kind, bucket in {"StableDiffusionXLPipeline": BUCKET, **sdxl.BUCKETS}.items()
}
SDXL_ROWS = [replace(sdxl.ROWS[at % 2], seed=at, told_sizes=told) for at, told in enumerate(TOLD)]


@pytest.mark.parametrize("kind", SDXL_BUCKETS)
def test_sdxl_s_rows_are_told_what_stock_pipelines_would_tell_them(on_sdxl, kind):
    bucket = SDXL_BUCKETS[kind]
    together = check_told(on_sdxl, SDXL_ROWS, bucket, sdxl.latents)
    limit = sdxl.TOLERANCE * max(1, together.abs().max() / 10)
    words = SIZE if kind == "StableDiffusionXLPipeline" else {}
    for one, in_batch in zip(SDXL_ROWS[:2], together, strict=False):
        alone = sdxl.latents(on_sdxl, [one], bucket)[0]
        theirs = sdxl.stock(on_sdxl, kind, bucket, one, **words, **pipelines_words(one.told_sizes))[0]
        assert (alone - theirs).abs().max() < limit
        assert (in_batch - alone).abs().max() < 4 * limit  # see test_pipelines_sdxl.py
    untold = sdxl.latents(on_sdxl, [replace(SDXL_ROWS[0], told_sizes={})], bucket)[0]
    assert (together[0] - untold).abs().max() > 10 * limit


def test_without_guidance_they_are_told_too(on_sdxl):
    bucket = replace(SDXL_BUCKETS["StableDiffusionXLControlNetPipeline"], guidance_scale=1.0, num_inference_steps=1)
    check_told(on_sdxl, SDXL_ROWS, bucket, sdxl.latents)


@pytest.fixture(scope="module")
def on_kolors():
    return kolors.load()


@pytest.mark.parametrize("kind", kolors.BUCKETS)
def test_kolors_rows_are_told_what_stock_pipelines_would_tell_them(on_kolors, kind):
    bucket = replace(kolors.BUCKETS[kind], num_inference_steps=2)
    rows = [replace(one, told_sizes=told) for one, told in zip(kolors.ROWS, TOLD, strict=False)]
    together = check_told(on_kolors, rows, bucket, kolors.latents)
    theirs = kolors.stock(kind, bucket, rows[0], **pipelines_words(rows[0].told_sizes))
    assert kolors.difference(together[:1], theirs) < kolors.limit_for(theirs)
    untold = kolors.latents(on_kolors, kolors.ROWS, bucket)
    assert torch.equal(together[1], untold[1])
    assert kolors.difference(together[0], untold[0]) > 10 * kolors.limit_for(theirs)


@pytest.fixture(scope="module")
def on_ecomid():
    torch.set_num_threads(1)
    return Sampler.load(ecomid.ECOMID, lora_scale=1.0, device="cpu")


@pytest.mark.parametrize("start", [None, pytest.param(0.6, marks=pytest.mark.slow)])
def test_identity_inpaint_and_softedge_nets_are_told_what_the_unet_is(on_ecomid, start):
    sampler = on_ecomid
    assert isinstance(sampler.nets["identity"], IdentityNet)
    bucket = replace(ecomid.BUCKET, strength=start, num_inference_steps=4 if start else 2)
    told = ({**WHOLE, "target_height_px": 64, "target_width_px": 96}, {}, {"crop_top_px": 30, "crop_left_px": 5})
    rows = [replace(one, told_sizes=cells) for one, cells in zip(ecomid.ROWS, told, strict=True)]
    nets = [sampler.pipeline.unet, *sampler.nets.values()]
    with watching(nets) as seen:
        together = ecomid.latents(sampler, rows, bucket)
    wanted = [[300.0, 200, 7, 11, 64, 96], [64.0, 64, 0, 0, 64, 64], [64.0, 64, 30, 5, 64, 64]]
    assert all(ids.view(6, 6).tolist() == [*wanted, *wanted] for given in seen for ids in given)
    assert len({len(given) for given in seen}) == 1
    alone = ecomid.latents(sampler, rows[:1], bucket)
    assert ecomid.difference(together[:1], alone) < 4 * ecomid.TOLERANCE
    untold = ecomid.latents(sampler, ecomid.ROWS, bucket)
    assert torch.equal(together[1], untold[1])
    assert ecomid.difference(together[0], untold[0]) > 10 * ecomid.TOLERANCE


def test_rows_that_say_nothing_leave_the_nets_alone_and_own_sizes_are_bit_equal(on_sdxl, monkeypatch):
    bucket = SDXL_BUCKETS["StableDiffusionXLPipeline"]
    plain = [replace(one, told_sizes={}) for one in SDXL_ROWS]
    own = {f"{what}_{side}_px": SIZE[side] for what in ("original", "target") for side in SIZE}
    said = [replace(plain[0], told_sizes=own | {"crop_top_px": 0, "crop_left_px": 0}), *plain[1:]]
    assert on_sdxl.condition(said, bucket).time_ids is not None
    with_own = sdxl.latents(on_sdxl, said, bucket)
    monkeypatch.setattr(nn.Module, "register_forward_pre_hook", None)
    assert on_sdxl.condition(plain, bucket).time_ids is None
    assert torch.equal(sdxl.latents(on_sdxl, plain, bucket), with_own)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_in_lower_precision_they_are_rounded_as_the_pipelines_do(on_sdxl, dtype):
    told = {name: 4001 + number for number, name in enumerate(WHOLE)}
    (row,) = [replace(SDXL_ROWS[0], told_sizes=told)]
    given = []

    class Net(nn.Module):
        def forward(self, added_cond_kwargs):
            given.append(added_cond_kwargs)

    net, text = Net(), torch.zeros(1, 3)
    with time_ids.told([net], time_ids.of_rows([row], SDXL_BUCKETS["StableDiffusionXLPipeline"])):
        net(added_cond_kwargs={"text_embeds": text, "time_ids": torch.zeros(1, 6, dtype=dtype)})
    assert given[0]["text_embeds"] is text
    assert given[0]["time_ids"].dtype == dtype
    assert torch.equal(given[0]["time_ids"], stock_ids(on_sdxl.pipeline, told, dtype))


def test_the_nets_are_let_go_of_when_a_batch_fails(on_sdxl):
    unet = on_sdxl.pipeline.unet
    before = len(unet._forward_pre_hooks)
    with pytest.raises(MemoryError), time_ids.told([unet], torch.zeros(1, 6)):
        raise MemoryError
    assert len(unet._forward_pre_hooks) == before
