"""Kolors' two adapters: what sets them apart from IP-Adapter's, and both in one UNet as stock diffusers computes it."""

import pytest
import torch
from adapters.loading import encoder, fresh_unet, load, path_of
from diffusers.models.attention_processor import IPAdapterAttnProcessor2_0
from doubles.tiny_recipe import adapter as spec_of
from doubles.tiny_recipe import person, picture
from torch import nn

from idgen.adapters import table
from idgen.adapters.ip_adapter import IpAdapter
from idgen.adapters.protocol import Person
from idgen.networks.attention import is_cross
from idgen.sampling.families.cross_attention import host_of

FACE, PICTURE = "bbox-336-rgb-crop-336", "picture-336-rgb-crop-336"
KINDS = ("kolors_faceid_plus", "kolors_ip_adapter_plus")


@pytest.fixture(scope="module")
def faceid():
    torch.set_num_threads(1)
    return load("kolors_faceid_plus", "kolors")


@pytest.fixture(scope="module")
def plus():
    return load("kolors_ip_adapter_plus", "kolors")


def someone(number: int, references: int = 1) -> Person:
    crops = {FACE: picture(number, references, 336), PICTURE: picture(100 + number, references, 336)}
    return Person(person(number, references), crops)


def test_only_the_faces_tokens_are_as_wide_as_the_text_encoders_states(faceid, plus):
    (face,), (seen,) = (one.encode([someone(1)], {}) for one in (faceid, plus))
    assert (faceid.through_text, plus.through_text) == (True, False)
    assert (face.cond.shape, seen.cond.shape) == ((1, 6, 128), (1, 16, 96))
    assert load("faceid_plusv2").through_text is False


def test_tokens_are_the_embeddings_plus_once_what_the_perceiver_saw_whatever_the_row_says(faceid):
    raw, crop = torch.from_numpy(person(1)), picture(1, 1, 336)
    states = encoder("tiny:clip_vit_l_336").features(crop).hidden_states
    assert states.shape == (1, 577, 64)
    projection = faceid.projection
    x = projection(raw)
    expected = x + projection.perceiver_resampler(x, states)
    for options in ({}, {"shortcut_scale": 0.0}, {"shortcut_scale": 3.0}):
        (made,) = faceid.encode([someone(1)], options)
        torch.testing.assert_close(made.cond, expected, atol=1e-5, rtol=1e-5)
    assert faceid.option_names == ()
    assert (expected - x).abs().max() > 0.1


def test_the_embedding_goes_in_with_its_length(faceid):
    long, short = (faceid.encode([Person(person(1) * f, someone(1).crops)], {})[0].cond for f in (1, 0.05))
    assert (long - short).abs().max() > 0.1


def test_nobody_is_zeros_for_the_embedding_and_for_every_hidden_state(faceid, plus):
    projection = faceid.projection
    nobody = projection(torch.zeros(1, 512))
    expected = nobody + projection.perceiver_resampler(nobody, torch.zeros(1, 577, 64))
    shown = nobody + projection.perceiver_resampler(nobody, encoder("tiny:clip_vit_l_336").zeros.hidden_states)
    (made,) = faceid.encode([someone(2, references=2)], {})
    torch.testing.assert_close(made.uncond, expected.expand(2, -1, -1), atol=1e-5, rtol=1e-5)
    assert (expected - shown).abs().max() > 0.01
    (made,) = plus.encode([someone(2)], {})
    expected = plus.projection(encoder("tiny:clip_vit_l_336").zeros.hidden_states)
    torch.testing.assert_close(made.uncond, expected, atol=1e-5, rtol=1e-5)
    assert (expected - plus.projection(torch.zeros(1, 577, 64))).abs().max() > 0.01


def test_beside_a_float16_base_the_faces_encoder_stays_in_float32_and_so_does_one_that_is_shared():
    face, style = (spec_of(kind, "kolors") for kind in KINDS)
    half, where = torch.float16, face.image_encoder
    assert table.encoder_dtype([face], where, half) == torch.float32
    assert table.encoder_dtype([style, face], where, half) == torch.float32
    assert table.encoder_dtype([style], where, half) == torch.float16
    assert table.encoder_dtype([face, spec_of("ip_adapter", "sdxl")], "tiny:clip_vit_bigg", half) == torch.float16
    assert table.encoder_dtype([style], where, torch.bfloat16) == torch.float32


def test_both_adapters_in_one_unet_are_what_stock_diffusers_computes_of_the_same_tokens():
    """Two people with two references each in one forward; the stock processors are fed what is projected by hand."""
    unet, adapters = (
        fresh_unet("kolors"),
        [IpAdapter(spec_of(kind, "kolors"), encoder=encoder("tiny:clip_vit_l_336")) for kind in KINDS],
    )
    seen = []
    for adapter, scale in zip(adapters, (0.8, 0.5), strict=True):
        adapter.load(host_of(unet), [path_of(spec_of(adapter.kind, "kolors"))])
        made = torch.stack([one.cond for one in adapter.encode([someone(1, 2), someone(2, 2)], {})])  # [2, 2, T, D]
        seen.append(unet.encoder_hid_proj(made) if adapter.through_text else made)
        for branch in adapter.branches:
            branch.bind(seen[-1], torch.full((2, 1, 1), scale), torch.float32)
    noise = torch.Generator().manual_seed(3)
    given = {
        "sample": torch.randn(2, 4, 8, 8, generator=noise),
        "timestep": torch.tensor(500),
        "added_cond_kwargs": {
            "text_embeds": torch.randn(2, 128, generator=noise),
            "time_ids": torch.tensor([[64.0, 64, 0, 0, 64, 64]] * 2),
        },
    }
    text = torch.randn(2, 256, 128, generator=noise)
    with torch.inference_mode():
        ours = unet(encoder_hidden_states=text, **given).sample
        theirs, faces, style = (
            by_stock(adapters, scales, text, seen, given) for scales in ([0.8, 0.5], [0.8, 0.0], [0.0, 0.5])
        )
    limit = 1e-4 * theirs.abs().max()
    assert (ours - theirs).abs().max() < limit
    assert min((ours - faces).abs().max(), (ours - style).abs().max()) > 100 * limit


def by_stock(adapters, scales, text, tokens, given) -> torch.Tensor:
    """diffusers' processors with the weights of `adapters`; `tokens` are as wide as what their layers read."""
    unet = fresh_unet("kolors")
    projected, unet.encoder_hid_proj = unet.encoder_hid_proj(text), None
    processors = dict(unet.attn_processors)
    for at, name in enumerate([name for name in processors if is_cross(name)]):
        branches = [adapter.branches[at] for adapter in adapters]
        processor = IPAdapterAttnProcessor2_0(branches[0].k.out_features, 96, num_tokens=(6, 16), scale=scales)
        for position, branch in enumerate(branches):
            processor.to_k_ip[position].weight = nn.Parameter(branch.k.weight.float())
            processor.to_v_ip[position].weight = nn.Parameter(branch.v.weight.float())
        processors[name] = processor
    unet.set_attn_processor(processors)
    return unet(encoder_hidden_states=(projected, tokens), **given).sample
