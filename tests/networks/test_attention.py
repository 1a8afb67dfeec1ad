"""Bound tokens: right numbers, made once per batch, and rows that stay apart."""

import pytest
import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor2_0
from torch import nn
from torch.nn import functional

from idgen.networks import attention
from idgen.networks.branch import Branch
from idgen.tiny import sd15

ROWS, PLACES, WIDTH, HEADS, TOKEN_WIDTH = 3, 10, 16, 2, 64


@pytest.fixture
def unet():
    torch.manual_seed(0)
    return UNet2DConditionModel(**sd15.UNET).eval()


@pytest.fixture
def branch():
    torch.manual_seed(1)
    return Branch(TOKEN_WIDTH, WIDTH, HEADS)


def softmax_attention(query, key, value):
    """The formula, written out: [R, heads, L, d]."""
    weights = torch.softmax(query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5, -1)
    return weights @ value


@torch.no_grad()
def test_a_branch_adds_scale_times_one_softmax_over_all_references(branch):
    tokens, scale = torch.randn(ROWS, 2, 4, TOKEN_WIDTH), torch.tensor([0.0, 0.5, 2.0]).view(-1, 1, 1)
    query, text = torch.randn(2, ROWS, HEADS, PLACES, WIDTH // HEADS)
    branch.bind(tokens, scale, torch.float32)
    sequence = tokens.flatten(1, 2)
    key, value = ((sequence @ part.weight.T).view(ROWS, 8, HEADS, -1).transpose(1, 2) for part in (branch.k, branch.v))
    expected = text + scale.unsqueeze(-1) * softmax_attention(query, key, value)
    torch.testing.assert_close(branch.join(text, query), expected, atol=1e-6, rtol=1e-5)
    assert torch.equal(branch.join(text, query)[0], text[0])


def test_keys_are_made_in_float32_and_kept_in_the_working_dtype(branch):
    branch.bind(torch.randn(ROWS, 1, 4, TOKEN_WIDTH), torch.ones(ROWS, 1, 1), torch.float16)
    assert branch.k.weight.dtype == torch.float32
    assert {branch.key.dtype, branch.value.dtype, branch.scale.dtype} == {torch.float16}
    exact = branch.k(torch.zeros(1, 1, TOKEN_WIDTH))
    assert exact.dtype == torch.float32


def test_other_people_and_scales_keep_shapes_and_strides(branch):
    layouts = []
    for seed in range(2):
        torch.manual_seed(seed)
        branch.bind(torch.randn(ROWS, 1, 4, TOKEN_WIDTH), torch.rand(ROWS, 1, 1), torch.float32)
        layouts.append([(one.shape, one.stride()) for one in (branch.key, branch.value, branch.scale)])
    assert layouts[0] == layouts[1]


def test_a_branch_that_was_never_bound_says_so(branch):
    with pytest.raises(RuntimeError, match="bind"):
        branch.join(torch.zeros(1), torch.zeros(1))


def test_only_cross_attention_is_replaced_and_order_is_down_up_mid(unet):
    bound = attention.install(unet)
    assert len(unet.attn_processors) == 32
    assert len(bound) == 16
    stays = [one for name, one in unet.attn_processors.items() if name.endswith("attn1.processor")]
    assert all(isinstance(one, AttnProcessor2_0) for one in stays)
    assert [name.partition("_")[0] for name in bound] == ["down"] * 6 + ["up"] * 9 + ["mid"]
    again = attention.install(unet)
    assert all(again[name] is bound[name] for name in bound)


@torch.no_grad()
def test_without_branches_the_unet_gives_what_diffusers_gives_bit_by_bit(unet):
    inputs = torch.randn(2, 4, 8, 8), torch.tensor(500), torch.randn(2, 77, TOKEN_WIDTH)
    stock = unet(*inputs).sample
    attention.install(unet)
    assert torch.equal(unet(*inputs).sample, stock)
    attention.bind_text(unet, inputs[2])
    assert torch.equal(unet(*inputs).sample, stock)


@torch.no_grad()
def test_bound_text_is_projected_once_for_all_steps(unet, monkeypatch):
    calls = []
    plain = functional.linear
    keys = {
        id(getattr(attention.layer(unet, name), part).weight)
        for name in unet.attn_processors
        if attention.is_cross(name)
        for part in ("to_k", "to_v")
    }

    def count(x, weight, bias=None):
        calls.append(id(weight) in keys)
        return plain(x, weight, bias)

    monkeypatch.setattr(nn.functional, "linear", count)
    attention.install(unet)
    text = torch.randn(2, 77, TOKEN_WIDTH)
    attention.bind_text(unet, text)
    for step in range(3):
        unet(torch.randn(2, 4, 8, 8), torch.tensor(step), text)
    assert sum(calls) == 2 * 16
    attention.unbind(unet)
    unet(torch.randn(2, 4, 8, 8), torch.tensor(0), text)
    assert sum(calls) == 2 * 16 * 2
