"""The ways a branch joins the text's output, against their formulas written out place by place."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from idgen.networks import attention
from idgen.networks.branch import FACE_TOKENS, Branch, face_attention
from idgen.tiny import sdxl

ROWS, PLACES, WIDTH, HEADS, TOKEN_WIDTH, TOKENS = 3, 7, 16, 2, 24, 12
MODES = [("ortho", "query"), ("ortho_v2", "query"), ("ortho_v2", "global")]
SCALES = torch.tensor([0.0, 0.5, 2.0]).view(-1, 1, 1)


@pytest.fixture(params=MODES, ids=lambda one: "-".join(one))
def branch(request):
    torch.manual_seed(1)
    made = Branch(TOKEN_WIDTH, WIDTH, HEADS, combine=request.param[0], attn_mean=request.param[1])
    made.requires_grad_(False)
    made.k.weight.mul_(3)  # or every token gets about the same attention
    return made


def drawn():
    torch.manual_seed(2)
    return torch.randn(ROWS, 1, TOKENS, TOKEN_WIDTH), *torch.randn(2, ROWS, HEADS, PLACES, WIDTH // HEADS)


def flat(split):
    """[heads, L, d] -> [L, heads*d], as layers see it."""
    return split.transpose(0, 1).reshape(split.shape[1], -1)


def expected(branch, tokens, query, text, scale):
    """One row's formula, in float64 and loops. `tokens` [T, D], `query` and `text` [heads, L, d]."""
    d = WIDTH // HEADS
    tokens, query, text = tokens.double(), query.double(), text.double()
    key, value = (tokens @ part.weight.double().T for part in (branch.k, branch.v))
    heads = [slice(d * head, d * head + d) for head in range(HEADS)]
    wide = flat(query)
    ip = torch.cat([(wide[:, one] @ key[:, one].T / d**0.5).softmax(-1) @ value[:, one] for one in heads], -1)
    out = flat(text)
    along = torch.empty_like(out)
    for channel in range(WIDTH):
        along[:, channel] = out[:, channel] @ ip[:, channel] / (out[:, channel] @ out[:, channel]) * out[:, channel]
    kept = torch.zeros(PLACES, 1, dtype=torch.float64)
    if branch.combine == "ortho_v2" and branch.attn_mean == "query":
        for place in range(PLACES):
            maps = [(key[:, one] @ wide[place, one]).softmax(0) for one in heads]
            kept[place] = sum(one[:5].sum() for one in maps) / HEADS
    elif branch.combine == "ortho_v2":
        kept[:] = sum((key @ wide[place]).softmax(0)[:5].sum() for place in range(PLACES)) / PLACES
    return out + scale * (ip + (kept - 1) * along)


def test_each_mode_is_its_formula_row_by_row(branch):
    tokens, query, text = drawn()
    branch.bind(tokens, SCALES, torch.float32)
    found = branch.join(text, query)
    assert torch.equal(found[0], text[0])
    for row in range(ROWS):
        wanted = expected(branch, tokens[row, 0], query[row], text[row], SCALES[row].item())
        torch.testing.assert_close(flat(found[row]).double(), wanted, atol=2e-6, rtol=1e-5)


def test_a_row_is_the_same_alone(branch):
    tokens, query, text = drawn()
    branch.bind(tokens, SCALES, torch.float32)
    together = branch.join(text, query)
    for row in range(ROWS):
        branch.bind(tokens[row : row + 1], SCALES[row : row + 1], torch.float32)
        alone = branch.join(text[row : row + 1], query[row : row + 1])
        torch.testing.assert_close(alone[0], together[row], atol=1e-6, rtol=1e-5)


def test_modes_differ_where_it_matters():
    tokens, query, text = drawn()
    results = []
    for combine, mean in [("add", "query"), *MODES]:
        torch.manual_seed(1)
        one = Branch(TOKEN_WIDTH, WIDTH, HEADS, combine=combine, attn_mean=mean).requires_grad_(False)
        one.k.weight.mul_(3)
        one.bind(tokens, SCALES, torch.float32)
        results.append(one.join(text, query)[1:])
    gaps = [(one - other).abs().max() for at, one in enumerate(results) for other in results[:at]]
    assert min(gaps) > 0.01


def test_zero_tokens_take_attention_from_the_face():
    tokens, query, _ = drawn()
    one = Branch(TOKEN_WIDTH, WIDTH, HEADS, combine="ortho_v2").requires_grad_(False)
    shares = []
    for zeros in (0, 8, 9):
        padded = torch.cat([tokens, torch.zeros(ROWS, 1, zeros, TOKEN_WIDTH)], 2)
        one.bind(padded, SCALES, torch.float32)
        shares.append(face_attention(query, one.key, "query"))
    assert shares[0].shape == (ROWS, 1, PLACES, 1)
    assert (shares[0] > shares[1]).all()
    assert (shares[1] > shares[2]).all()
    one.bind(tokens[:, :, :FACE_TOKENS], SCALES, torch.float32)
    torch.testing.assert_close(face_attention(query, one.key, "global"), torch.ones(ROWS, 1, 1, 1))


def test_a_branch_projects_on_the_text_alone_so_that_the_order_of_branches_does_not_matter(branch):
    torch.manual_seed(3)
    plain = Branch(TOKEN_WIDTH, WIDTH, HEADS).requires_grad_(False)
    tokens, query, text = drawn()
    for one in (plain, branch):
        one.bind(tokens, SCALES, torch.float32)
    first = branch.join(plain.join(text, query, text), query, text)
    second = plain.join(branch.join(text, query, text), query, text)
    torch.testing.assert_close(first, second, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(first - plain.join(text, query), branch.join(text, query) - text, atol=2e-6, rtol=1e-5)
    assert (branch.join(plain.join(text, query), query) - first).abs().max() > 0.01


def test_half_precision_is_computed_in_float32_and_comes_back_as_it_was(branch):
    tokens, query, text = drawn()
    branch.bind(tokens, SCALES, torch.float16)
    assert branch.key.dtype == torch.float16
    assert branch.scale.dtype == torch.float32
    found = branch.join(300 * text.half(), query.half())  # 300² is no float16
    assert found.dtype == torch.float16
    assert torch.isfinite(found).all()
    branch.bind(tokens, SCALES, torch.float32)
    exact = branch.join(300 * text, query)
    assert (found.float() - exact).abs().max() < 2e-3 * exact.abs().max()


def test_a_text_of_zeros_has_nothing_along_it(branch):
    tokens, query, text = drawn()
    branch.bind(tokens, SCALES, torch.float32)
    assert torch.isfinite(branch.join(torch.zeros_like(text), query)).all()


@pytest.mark.parametrize("mean", ["query", "global"])
def test_blocks_compile_whole_and_other_people_and_scales_compile_nothing(mean):
    torch.set_num_threads(1)
    unet = sdxl.unet("modes.unet")
    width = sdxl.TEXT_WIDTH
    branches = []
    torch.manual_seed(0)
    for name, bound in attention.install(unet).items():
        layer = attention.layer(unet, name)
        bound.branches.append(Branch(width, layer.inner_dim, layer.heads, combine="ortho_v2", attn_mean=mean))
        branches.append(bound.branches[0].requires_grad_(False))
    graphs = []

    def backend(graph, _inputs):
        graphs.append(graph)
        return graph.forward

    @torch.inference_mode()
    def run(seed):
        torch._dynamo.config.recompile_limit = 64
        torch.manual_seed(seed)
        text, tokens, scale = torch.randn(2, 77, width), torch.randn(2, 1, 18, width), torch.rand(2, 1, 1)
        attention.bind_text(unet, text)
        for one in branches:
            one.bind(tokens, scale, torch.float32)
        added = {"text_embeds": torch.randn(2, sdxl.TEXT_WIDTHS[1]), "time_ids": torch.ones(2, 6)}
        return unet(torch.randn(2, 4, 8, 8), torch.tensor(500), text, added_cond_kwargs=added).sample

    plain = run(1)
    torch._dynamo.reset()
    unet.compile_repeated_blocks(fullgraph=True, backend=backend)
    with ThreadPoolExecutor(1) as pool:  # dynamo's settings are each thread's own
        assert (pool.submit(run, 1).result() - plain).abs().max() < 1e-5 * max(1, plain.abs().max())
        count = len(graphs)
        assert count > 0
        pool.submit(run, 2).result()
    assert len(graphs) == count
