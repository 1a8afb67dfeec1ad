"""EcomID with inpaint and softedge nets: they run when they count, and what is constant is made once and let go."""

import gc
import weakref
from dataclasses import replace

import pytest
import torch
from doubles.tiny_ecomid import BUCKET, ECOMID, FROM_IMAGE, NETS, ROWS, TOLERANCE, USES, difference, latents
from doubles.tiny_recipe import identity_net, recipe

from idgen.networks.attention import BoundAttention
from idgen.sampling.controls import PresentControls
from idgen.sampling.rows import ControlUse
from idgen.sampling.sampler import Sampler


@pytest.fixture(scope="module")
def sampler():
    torch.set_num_threads(1)
    return Sampler.load(ECOMID, lora_scale=1.0, device="cpu")


@pytest.fixture
def calls(sampler):
    """Name of a net -> how often it ran."""
    counted = dict.fromkeys(NETS, 0)

    def count(name):
        counted[name] += 1

    # the first layer, as IdentityNet's own forward only decides
    hooks = [net.conv_in.register_forward_hook(lambda *_, name=name: count(name)) for name, net in sampler.nets.items()]
    yield counted
    for hook in hooks:
        hook.remove()


def test_control_start_and_end_equal_the_run_that_multiplies_by_zero_at_half_the_calls(sampler, calls, monkeypatch):
    uses = tuple(replace(use, start=0.25, end=0.75) for use in USES)
    bucket = replace(BUCKET, num_inference_steps=8, controls=uses)
    found = latents(sampler, ROWS[:2], bucket)
    assert calls == dict.fromkeys(NETS, 4)

    def run_all(self, sample, timestep, encoder_hidden_states, controlnet_cond, conditioning_scale, **rest):
        scales = conditioning_scale
        made = [
            net(sample, timestep, encoder_hidden_states, one, 1.0, **rest)
            for net, one in zip(self.nets, controlnet_cond, strict=True)
        ]
        down = [sum(part * scale for part, scale in zip(parts, scales, strict=True))
                for parts in zip(*(one[0] for one in made), strict=True)]  # fmt: skip
        return down, sum(one[1] * scale for one, scale in zip(made, scales, strict=True))

    monkeypatch.setattr(PresentControls, "forward", run_all)
    multiplied = latents(sampler, ROWS[:2], bucket)
    assert calls == dict.fromkeys(NETS, 4 + 8)
    assert difference(found, multiplied) < 1e-3
    assert difference(found, latents(sampler, ROWS[:2], replace(bucket, controls=USES))) > 100 * TOLERANCE


def test_start_and_end_are_the_rows_or_else_the_recipes():
    controls = [replace(identity_net(), start=0.5, end=1.0)]
    sampler = Sampler.load(recipe("ecomid", controls=controls), lora_scale=1.0, device="cpu")
    ran = []
    sampler.nets["identity"].conv_in.register_forward_hook(lambda *_: ran.append(1))
    for use, wanted in ((ControlUse(name="identity", scale=1.0), 2), (replace(USES[0], start=0.25, end=0.5), 1)):
        ran.clear()
        latents(sampler, ROWS[:1], replace(BUCKET, num_inference_steps=4, controls=(use,)))
        assert len(ran) == wanted


def test_a_net_of_scale_0_is_not_run_and_its_picture_is_that_of_the_recipe_without_it(sampler, calls):
    silent = [replace(row, identity_scale=0.0) for row in ROWS]
    none = replace(BUCKET, controls=(USES[0], *(replace(use, scale=0.0) for use in USES[1:])))
    found = latents(sampler, silent, none)
    assert calls == dict.fromkeys(NETS, 0)
    assert torch.equal(found, latents(sampler, ROWS, replace(BUCKET, controls=())))
    kinds = [type(made).__name__ for kind, made in sampler.denoising._made.items() if not kind[1] and not kind[0]]
    assert kinds == ["StableDiffusionXLPipeline"]
    one = latents(sampler, silent, BUCKET)
    assert (calls["identity"], calls["inpaint"], calls["softedge"]) == (0, 2, 2)
    assert torch.equal(one, latents(sampler, ROWS, replace(BUCKET, controls=USES[1:])))


def test_one_row_that_wants_its_face_makes_the_net_run_and_the_others_see_nothing_of_it(sampler, calls):
    bucket = replace(BUCKET, controls=USES[:1])
    rows = [ROWS[0], *(replace(row, identity_scale=0.0) for row in ROWS[1:])]
    found = latents(sampler, rows, bucket)
    assert calls["identity"] == 2
    without = latents(sampler, rows, replace(BUCKET, controls=()))
    assert difference(found[1:], without[1:]) < TOLERANCE
    assert difference(found[0], without[0]) > 100 * TOLERANCE


def cross_attention(model):
    return [part for name, part in model.named_modules() if name.endswith("attn2")]


def test_what_is_constant_over_the_steps_is_made_once_per_batch(sampler):
    models = [sampler.pipeline.unet, *sampler.nets.values()]
    watched = [one for model in models for layer in cross_attention(model) for one in (layer.to_k, layer.to_v)]
    watched += [one for branch in sampler.adapters[0].branches for one in (branch.k, branch.v)]
    made = dict.fromkeys(watched, 0)

    def count(part, *_):
        made[part] += 1

    hooks = [part.register_forward_hook(count) for part in watched]
    latents(sampler, ROWS, FROM_IMAGE)
    for hook in hooks:
        hook.remove()
    assert set(made.values()) == {1}
    assert len(made) == 2 * (70 + 70 + 3 * 34)


def test_people_prompts_faces_and_start_images_are_looked_at_once_each(sampler):
    fresh = Sampler(sampler.base, sampler.adapters, sampler.device, nets=sampler.nets, recipe=ECOMID)
    fresh.conditioner.clear()
    eye = sampler.adapters[0].eye
    seen = eye.encodings
    twice = [*ROWS, *(replace(row, seed=5, identity_scale=0.1) for row in ROWS)]
    for _ in range(2):
        fresh.condition(twice, FROM_IMAGE)
    assert fresh.counts.token_projections == eye.encodings - seen == 3
    assert fresh.counts.prompt_encodings == 5  # "" is a prompt and a negative one
    assert fresh.conditioner.starts.encodings == 3


def bound(sampler):
    """The tensors that the last batch left behind."""
    models = [sampler.pipeline.unet, *sampler.nets.values()]
    processors = [one for m in models for one in m.attn_processors.values() if isinstance(one, BoundAttention)]
    held = [one for p in processors for one in (p.text_key, p.text_value)]
    held += [one for branch in sampler.adapters[0].branches for one in (branch.key, branch.value, branch.scale)]
    held += [one for name in ("identity", "inpaint") for one in (sampler.nets[name].context, sampler.nets[name].scale)]
    return [one for one in held if one is not None]


def test_release_lets_go_of_all_that_a_batch_bound(sampler):
    latents(sampler, ROWS)
    held = [weakref.ref(one) for one in bound(sampler)]
    assert len(held) == 2 * (70 + 3 * 34) + 3 * 70 + 2 * 2
    sampler.release()
    gc.collect()
    assert bound(sampler) == []
    assert [ref for ref in held if ref() is not None] == []


def test_a_batch_lets_go_of_nets_that_only_the_batch_before_used(sampler):
    latents(sampler, ROWS)
    latents(sampler, ROWS, replace(BUCKET, controls=USES[:1]))
    assert sampler.nets["identity"].context is not None
    assert sampler.nets["inpaint"].context is None
    processors = sampler.nets["softedge"].attn_processors.values()
    assert all(one.text_key is None for one in processors if isinstance(one, BoundAttention))


def test_the_cache_counts_the_contexts_bytes_too(sampler):
    fresh = Sampler(sampler.base, sampler.adapters, sampler.device, nets=sampler.nets, recipe=ECOMID)
    conditions = fresh.condition(ROWS[:1], BUCKET)
    both = conditions.tokens[0].nbytes + conditions.context.nbytes
    assert fresh.conditioner.tokens._entries._size == both
