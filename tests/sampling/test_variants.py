"""Every line of VARIANTS, on every family it has files for: rows stay their own, scales mean what they say."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch
from doubles.tiny_recipe import FACES, adapter, recipe, row_for
from torch import nn

from idgen.networks import checkpoints
from idgen.recipes.recipe import AdapterSpec
from idgen.recipes.variants import VARIANTS
from idgen.sampling.rows import Bucket
from idgen.sampling.sampler import Sampler
from idgen.tiny.files import ADAPTERS
from idgen.weights import locate

pytestmark = pytest.mark.slow

TOLERANCES = {"sd15": 1e-4, "sdxl": 4e-4, "kolors": 2e-4}
"""For latents of 10 or so; the goldens of SDXL are allowed 6e-4 and more: 70 layers of rounding, of random weights."""
BUCKET = Bucket(width=64, height=64, num_inference_steps=2, scheduler="ddim", guidance_scale=5.0)
NAMES = list(ADAPTERS)


@pytest.fixture(scope="module", params=NAMES)
def made(request):
    """(recipe, loaded sampler) of one adapter file; one at a time in memory."""
    torch.set_num_threads(1)
    chosen = recipe(request.param)
    return chosen, Sampler.load(chosen, lora_scale=0.7, device="cpu")


def test_every_variant_has_a_file():
    assert {file.kind for file in ADAPTERS.values()} | set(FACES) == set(VARIANTS)


def latents(sampler, rows, bucket=BUCKET):
    return sampler.denoise(sampler.condition(rows, bucket), bucket)


def difference(one, other):
    return (one - other).abs().max().item()


def rows_of(chosen, references=1):
    """No field is the same in any two rows."""
    prompts = [("a woman in a garden", "lowres"), ("neon street at night", ""), ("", "bad anatomy")]
    scales = [(0.4, 0.5), (1.0, 1.0), (0.0, 2.0)]
    return [
        row_for(
            chosen, number, references, prompt=prompt, negative_prompt=negative, seed=10**number,
            ip_adapter_scale=scale, options={"shortcut_scale": shortcut},
        )
        for number, ((prompt, negative), (scale, shortcut)) in enumerate(zip(prompts, scales, strict=True), start=1)
    ]  # fmt: skip


@pytest.mark.parametrize("references", [1, 2])
def test_three_rows_that_differ_in_everything_are_the_same_alone_together_and_in_any_order(made, references):
    chosen, sampler = made
    tolerance = TOLERANCES[chosen.base.kind]
    bucket = replace(BUCKET, n_references=references)
    rows = rows_of(chosen, references)
    alone = torch.cat([latents(sampler, [one], bucket) for one in rows])
    limit = tolerance * max(1, alone.abs().max() / 10)
    assert torch.isfinite(alone).all()
    assert difference(latents(sampler, rows, bucket), alone) < limit
    assert difference(latents(sampler, [rows[2], rows[0], rows[1]], bucket)[[1, 2, 0]], alone) < limit


@pytest.mark.parametrize("scheduler", ["lcm", "turbo"])  # both draw noise in every step
def test_few_steps_without_guidance_know_the_identity_and_keep_rows_apart(made, scheduler):
    chosen, sampler = made
    tolerance = 5 * TOLERANCES[chosen.base.kind]  # the first step divides by what is left of the picture: 1/15
    bucket = replace(BUCKET, scheduler=scheduler, guidance_scale=0.0)
    rows = rows_of(chosen)[:2]
    alone = torch.cat([latents(sampler, [one], bucket) for one in rows])
    assert difference(latents(sampler, rows, bucket), alone) < tolerance
    other = replace(rows[0], id_embedding=rows[1].id_embedding, crops=rows[1].crops)
    changed = latents(sampler, [other, rows[1]], bucket)
    assert difference(changed[0], alone[0]) > 100 * tolerance
    assert difference(changed[1], alone[1]) < tolerance


def test_the_order_of_the_references_makes_no_difference_and_each_counts(made):
    chosen, sampler = made
    tolerance = TOLERANCES[chosen.base.kind]
    one = row_for(chosen, 1, 2)
    turned = replace(one, id_embedding=one.id_embedding[::-1].copy(), crops={k: v[::-1] for k, v in one.crops.items()})
    first = replace(one, id_embedding=one.id_embedding[:1], crops={k: v[:1] for k, v in one.crops.items()})
    assert difference(latents(sampler, [one]), latents(sampler, [turned])) < tolerance
    assert difference(latents(sampler, [one]), latents(sampler, [first])) > 100 * tolerance


def test_scale_0_is_the_base_with_its_lora_and_scale_1_is_far_from_it(made):
    chosen, sampler = made
    tolerance = TOLERANCES[chosen.base.kind]
    off, on = (latents(sampler, [row_for(chosen, 1, ip_adapter_scale=scale)]) for scale in (0.0, 1.0))
    base = Sampler.load(replace(chosen, adapters=[]), lora_scale=1.0, device="cpu")
    plain = latents(base, [row_for(chosen, 1)])
    (spec,) = chosen.adapters
    if VARIANTS[spec.kind].lora:
        assert difference(off, plain) > 100 * tolerance
        merge_by_hand(base.pipeline.unet, spec, 0.7)
        base = Sampler(base.base, [], base.device)
        silent = Sampler.load(chosen, lora_scale=0.0, device="cpu")
        assert difference(latents(silent, [row_for(chosen, 1, ip_adapter_scale=0.0)]), plain) < 1e-5
    assert difference(off, latents(base, [row_for(chosen, 1)])) < tolerance
    assert difference(off, on) > 100 * tolerance


def merge_by_hand(unet, spec: AdapterSpec, scale: float) -> None:
    """W += scale * up @ down, written down a second time."""
    weights = checkpoints.read(locate(spec.weights))
    for index, name in enumerate(unet.attn_processors):
        layer = unet.get_submodule(name.removesuffix(".processor"))
        for target, linear in {"q": layer.to_q, "k": layer.to_k, "v": layer.to_v, "out": layer.to_out[0]}.items():
            key = f"ip_adapter.{index}.to_{target}_lora"
            change = weights[f"{key}.up.weight"].float() @ weights[f"{key}.down.weight"].float()
            linear.weight = nn.Parameter(linear.weight + scale * change, requires_grad=False)


def test_blocks_compile_whole_and_other_people_prompts_scales_and_steps_compile_nothing(made):
    chosen, _ = made
    sampler = Sampler.load(chosen, lora_scale=0.7, device="cpu")
    rows = rows_of(chosen)
    expected = latents(sampler, rows)
    graphs = []

    def backend(graph, _inputs):
        graphs.append(graph)
        return graph.forward

    torch._dynamo.reset()
    sampler.compile_blocks(backend=backend)
    with ThreadPoolExecutor(1) as pool:  # dynamo's settings are each thread's own
        compiled = pool.submit(latents, sampler, rows).result()
        assert difference(compiled, expected) < TOLERANCES[chosen.base.kind]
        count = len(graphs)
        assert count > 0
        others = [
            replace(
                row_for(chosen, 7 + at), prompt=f"a boat {at}", ip_adapter_scale=at / 3, options={"shortcut_scale": at}
            )
            for at in range(3)
        ]
        pool.submit(latents, sampler, others).result()
        pool.submit(latents, sampler, rows, replace(BUCKET, num_inference_steps=3)).result()
    assert len(graphs) == count


def test_the_whole_unet_is_one_graph():
    torch.set_num_threads(1)
    sampler = Sampler.load(recipe("faceid_plusv2_sd15"), lora_scale=0.7, device="cpu")
    chosen = recipe("faceid_plusv2_sd15")
    rows = rows_of(chosen)
    expected = latents(sampler, rows)
    torch._dynamo.reset()
    plain, graphs = sampler.pipeline.unet.forward, []

    def backend(graph, _inputs):
        graphs.append(graph)
        return graph.forward

    sampler.pipeline.unet.forward = torch.compile(plain, backend=backend, fullgraph=True)
    assert difference(latents(sampler, rows), expected) < TOLERANCES["sd15"]
    latents(sampler, rows_of(chosen)[::-1], replace(BUCKET, num_inference_steps=3))
    assert len(graphs) == 1


def test_two_adapters_share_one_look_at_each_picture_and_have_strengths_of_their_own():
    torch.set_num_threads(1)
    plus = replace(adapter("ip_adapter_plus"), name="plus")
    plain = replace(adapter("ip_adapter"), name="plain")
    both = recipe("faceid_plusv2_sd15", adapters=[*recipe("faceid_plusv2_sd15").adapters, plus, plain])
    sampler = Sampler.load(both, lora_scale=0.7, device="cpu")
    rows = [
        row_for(both, number, ip_adapter_scales={"faceid_plusv2": 0.5 * number, "plus": 1.0 / number, "plain": 0.3},
                options={"shortcut_scale": shortcut})
        for number, shortcut in ((1, 0.5), (2, 1.5), (1, 2.0))
    ]  # fmt: skip
    alone = torch.cat([latents(sampler, [one]) for one in rows])
    assert difference(latents(sampler, rows), alone) < TOLERANCES["sd15"]
    encoder = sampler.adapters[0].encoder
    assert encoder is sampler.adapters[1].encoder
    assert encoder.encodings == 4  # two people, each an aligned face and a picture that plus and plain both look at
    for name in ("faceid_plusv2", "plus", "plain"):
        changed = replace(rows[0], ip_adapter_scales={**rows[0].ip_adapter_scales, name: 0.0})
        assert difference(latents(sampler, [changed]), alone[:1]) > 10 * TOLERANCES["sd15"]


def test_kolors_face_and_style_adapters_go_together_though_only_the_faces_tokens_pass_through_the_texts_projection():
    torch.set_num_threads(1)
    style = replace(adapter("kolors_ip_adapter_plus"), name="style")
    both = recipe("kolors_faceid_plus", adapters=[*recipe("kolors_faceid_plus").adapters, style])
    sampler = Sampler.load(both, lora_scale=1.0, device="cpu")
    scales = ({"kolors_faceid_plus": 0.8, "style": 0.5}, {"kolors_faceid_plus": 0.3, "style": 1.0})
    rows = [row_for(both, number, ip_adapter_scales=one) for number, one in enumerate(scales, start=1)]
    alone = torch.cat([latents(sampler, [one]) for one in rows])
    assert difference(latents(sampler, rows), alone) < TOLERANCES["kolors"]
    for name in scales[0]:
        changed = replace(rows[0], ip_adapter_scales={**scales[0], name: 0.0})
        assert difference(latents(sampler, [changed]), alone[:1]) > 100 * TOLERANCES["kolors"]
