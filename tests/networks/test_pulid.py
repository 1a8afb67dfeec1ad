"""PuLID's encoders: the published tensors at full size, the formulas written out, several references of a person."""

from math import prod

import pytest
import torch
from torch.nn import functional

from idgen.errors import Exit, RunError
from idgen.networks.pulid import IdEncoder, IdFormer, encode_v1, encode_v1_1, face_features, id_cond


def mlp(name, seen, width, out):
    shapes = {f"{name}.0.weight": (width, seen), f"{name}.3.weight": (width, width), f"{name}.6.weight": (out, width)}
    shapes |= {f"{name}.{place}.bias": (width,) for place in (0, 1, 3, 4)}
    return shapes | {f"{name}.1.weight": (width,), f"{name}.4.weight": (width,), f"{name}.6.bias": (out,)}


def v1(cond, seen, width, token, body=None):
    shapes = mlp("body", cond, body or width, 5 * token)
    for level in range(5):
        shapes |= mlp(f"mapping_{level}", seen, width, token) | mlp(f"mapping_patch_{level}", seen, width, token)
    return shapes


def v1_1(cond, seen, width, inner, token, queries, layers=10, hidden=None):
    shapes = {"latents": (1, queries, width), "proj_out": (width, token)}
    shapes |= mlp("id_embedding_mapping", cond, hidden or width, 5 * width)
    for level in range(5):
        shapes |= mlp(f"mapping_{level}", seen, hidden or width, width)
    for number in range(layers):
        of = f"layers.{number}"
        shapes |= {f"{of}.0.{one}": (width,) for one in ("norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias")}
        shapes |= {f"{of}.0.to_q.weight": (inner, width), f"{of}.0.to_kv.weight": (2 * inner, width)}
        shapes |= {f"{of}.0.to_out.weight": (width, inner), f"{of}.1.0.weight": (width,), f"{of}.1.0.bias": (width,)}
        shapes |= {f"{of}.1.1.weight": (4 * width, width), f"{of}.1.3.weight": (width, 4 * width)}
    return shapes


V1 = v1(12, 6, 8, 4, body=10)
FORMER = v1_1(12, 6, 8, 128, 4, 3)
EACH = [(IdEncoder, V1), (IdFormer, FORMER)]
each = pytest.mark.parametrize(("made", "shapes"), EACH, ids=["v1", "v1.1"])


def random_like(shapes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=generator).half() / 2 for name, shape in shapes.items()}


def person(references=1, seed=3):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(references, 12, generator=generator), torch.randn(5, references, 7, 6, generator=generator)


def through(weights, name, x):
    """The three-layer network `name`, written out."""
    for place in (0, 3, 6):
        x = x @ weights[f"{name}.{place}.weight"].float().T + weights[f"{name}.{place}.bias"].float()
        if place < 6:
            scale, shift = (weights[f"{name}.{place + 1}.{kind}"].float() for kind in ("weight", "bias"))
            x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt() * scale + shift
            x = torch.where(x > 0, x, 0.01 * x)
    return x


def tokens_v1(weights, cond, hidden):
    """[10, 4] of one reference: `cond` [12], `hidden` [5, 7, 6]."""
    rows = [*through(weights, "body", cond).split(4)]
    for level, states in enumerate(hidden):
        patches = torch.stack([through(weights, f"mapping_patch_{level}", one) for one in states[1:]])
        rows.append(through(weights, f"mapping_{level}", states[0]) + patches.sum(0) / 6)
    return torch.stack(rows)


def tokens_v1_1(weights, cond, hidden):
    """[3, 4] of r references that are one person: `cond` [r, 12], `hidden` [5, r, 7, 6]."""
    weights = {name: tensor.float() for name, tensor in weights.items()}

    def norm(name, x):
        return functional.layer_norm(x, (8,), weights[f"{name}.weight"], weights[f"{name}.bias"])

    identity = torch.cat([through(weights, "id_embedding_mapping", one).reshape(5, 8) for one in cond])
    queries = torch.cat([weights["latents"][0], identity])
    for number in range(10):
        level, of = number // 2, f"layers.{number}"
        seen = torch.cat([through(weights, f"mapping_{level}", states) for states in hidden[level]])
        context = norm(f"{of}.0.norm1", torch.cat([identity, seen]))
        asking = norm(f"{of}.0.norm2", queries)
        keys, values = (torch.cat([context, asking]) @ weights[f"{of}.0.to_kv.weight"].T).split(128, -1)
        heads = []
        for head in (slice(0, 64), slice(64, 128)):
            match = (asking @ weights[f"{of}.0.to_q.weight"].T)[:, head] @ keys[:, head].T / 8
            heads.append(torch.softmax(match, -1) @ values[:, head])
        queries = queries + torch.cat(heads, -1) @ weights[f"{of}.0.to_out.weight"].T
        fed = functional.gelu(norm(f"{of}.1.0", queries) @ weights[f"{of}.1.1.weight"].T)
        queries = queries + fed @ weights[f"{of}.1.3.weight"].T
    return queries[:3] @ weights["proj_out"]


def close(found, expected):
    torch.testing.assert_close(found, expected, atol=2e-4, rtol=2e-4)


def test_full_size_encoders_hold_exactly_the_published_tensors():
    first, second = v1(1280, 1024, 1024, 2048), v1_1(1280, 1024, 1024, 1024, 2048, 32)
    assert (len(first), sum(map(prod, first.values()))) == (110, 54_886_400)
    assert (len(second), sum(map(prod, second.values()))) == (172, 151_398_400)
    for made, shapes in ((IdEncoder, first), (IdFormer, second)):
        weights = {name: torch.empty(shape, dtype=torch.float16, device="meta") for name, shape in shapes.items()}
        module = made.from_weights(weights, "a file")
        assert {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()} == shapes
        assert (module.cond_width, module.feature_width, module.token_width) == (1280, 1024, 2048)


def test_full_size_encoders_make_10_and_32_tokens():
    meta = {"device": "meta", "dtype": torch.float16}
    cond, hidden = torch.empty(2, 1280, device="meta"), torch.empty(5, 2, 577, 1024, device="meta")
    encoder = IdEncoder.from_weights({n: torch.empty(s, **meta) for n, s in v1(1280, 1024, 1024, 2048).items()}, "")
    assert encoder(cond, hidden).shape == (2, 10, 2048)
    shapes = v1_1(1280, 1024, 1024, 1024, 2048, 32)
    former = IdFormer.from_weights({n: torch.empty(s, **meta) for n, s in shapes.items()}, "")
    assert former(cond[:, None], hidden).shape == (2, 32, 2048)


def test_version_1_is_the_formula_written_out():
    weights, (cond, hidden) = random_like(V1), person(3)
    encoder = IdEncoder.from_weights(weights, "a file")
    close(encoder(cond, hidden), torch.stack([tokens_v1(weights, cond[at], hidden[:, at]) for at in range(3)]))


@pytest.mark.parametrize("references", [1, 2, 4])
@pytest.mark.parametrize("inside", [8, 6, 10], ids=["as the former", "as the tower", "as neither"])
def test_version_1_1_is_the_formula_written_out_with_all_references_at_once(references, inside):
    weights, (cond, hidden) = random_like(v1_1(12, 6, 8, 128, 4, 3, hidden=inside)), person(references)
    former = IdFormer.from_weights(weights, "a file")
    seen, nobody = encode_v1_1(former, cond, hidden)
    assert seen.shape == nobody.shape == (1, 3, 4)
    close(seen[0], tokens_v1_1(weights, cond, hidden))
    close(nobody[0], tokens_v1_1(weights, torch.zeros(1, 12), torch.zeros(5, 1, 7, 6)))
    assert nobody.abs().max() > 0.1


def test_a_batch_of_people_in_version_1_1_gives_what_each_gives_alone():
    former = IdFormer.from_weights(random_like(FORMER), "a file")
    people = [person(2, seed) for seed in (5, 6)]
    together = former(torch.stack([cond for cond, _ in people]), torch.stack([h.flatten(1, 2) for _, h in people], 1))
    for number, (cond, hidden) in enumerate(people):
        close(together[number : number + 1], encode_v1_1(former, cond, hidden)[0])


def test_version_1_joins_the_further_references_as_it_is_told():
    weights, (cond, hidden) = random_like(V1), person(3)
    encoder = IdEncoder.from_weights(weights, "a file")
    one, two, three = (tokens_v1(weights, cond[at], hidden[:, at]) for at in range(3))
    nobody = tokens_v1(weights, torch.zeros(12), torch.zeros(5, 7, 6))
    assert nobody.abs().max() > 0.1
    expected = {
        "all": (torch.cat([one, two, three]), torch.cat([nobody, nobody, nobody])),
        "first": (torch.cat([one, two[:5], three[:5]]), torch.cat([nobody, nobody[:5], nobody[:5]])),
        "mean": ((one + two + three) / 3, nobody),
    }
    for references, (seen, unseen) in expected.items():
        found = encode_v1(encoder, cond, hidden, references)
        close(found[0][0], seen)
        close(found[1][0], unseen)
    assert torch.equal(encode_v1(encoder, cond, hidden)[0], encode_v1(encoder, cond, hidden, "first")[0])


@pytest.mark.parametrize("references", ["all", "first", "mean"])
def test_one_reference_is_ten_tokens_however_further_ones_would_join(references):
    encoder, (cond, hidden) = IdEncoder.from_weights(random_like(V1), "a file"), person()
    seen, nobody = encode_v1(encoder, cond, hidden, references)
    assert torch.equal(seen, encoder(cond, hidden))
    assert nobody.shape == (1, 10, 4)


def test_the_pooled_features_are_brought_to_length_1_and_the_embedding_is_not():
    embedding, pooled = torch.randn(2, 512) * 20, torch.randn(2, 768) * 7
    cond = id_cond(embedding, pooled)
    assert torch.equal(cond[:, :512], embedding)
    torch.testing.assert_close(cond[:, 512:], pooled / pooled.square().sum(-1, keepdim=True).sqrt())
    torch.testing.assert_close(cond[:, 512:].norm(dim=-1), torch.ones(2))


def test_face_features_keep_the_overshoot_at_edges_and_know_antialiasing():
    image = torch.full((1, 3, 512, 512), 0.4)
    image[..., 256:] = 1.0
    mean, std = (torch.tensor(one)[:, None, None] for one in (
        [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
    ))  # fmt: skip
    plain, smooth = (face_features(image, 336, antialias=one) for one in (False, True))
    assert plain.shape == smooth.shape == (1, 3, 336, 336)
    torch.testing.assert_close(plain[0, :, :2, :2], ((0.4 - mean) / std).expand(3, 2, 2))
    assert (plain[0] * std + mean).max() > 1.01
    assert (plain - smooth).abs().max() > 0.05


@each
def test_weights_come_back_as_they_were_and_frozen(made, shapes):
    weights = random_like(shapes)
    module = made.from_weights(weights, "a file")
    assert module.state_dict().keys() == weights.keys()
    assert all(torch.equal(module.state_dict()[name].half(), tensor) for name, tensor in weights.items())
    assert not any(one.requires_grad for one in module.parameters())


@each
def test_half_stored_weights_give_the_bits_of_their_float32_copies(made, shapes):
    weights, (cond, hidden) = random_like(shapes), person()
    cond = cond if made is IdEncoder else cond[None]
    whole = {name: tensor.float() for name, tensor in weights.items()}
    assert torch.equal(*(made.from_weights(one, "a file")(cond, hidden) for one in (weights, whole)))


@each
def test_every_missing_unknown_or_misshapen_tensor_is_refused_by_name(made, shapes):
    weights = random_like(shapes)
    for name, shape in shapes.items():
        with pytest.raises(RunError, match=name.replace(".", r"\.")) as caught:
            made.from_weights({key: one for key, one in weights.items() if key != name}, "a file")
        assert caught.value.exit_code == Exit.USAGE
        if not name.startswith(("layers.2.", "layers.3.", "layers.4.", "layers.5.", "layers.6.", "layers.7.")):
            for wrong in ((shape[0] + 1, *shape[1:]), (*shape, 1)):
                with pytest.raises(RunError, match="a file: image_proj"):
                    made.from_weights(weights | {name: torch.zeros(wrong)}, "a file")
    with pytest.raises(RunError, match="surprise"):
        made.from_weights(weights | {"surprise": torch.zeros(1)}, "a file")


def test_layers_that_are_no_whole_number_per_level_are_refused():
    with pytest.raises(RunError, match=r"layers\.9"):
        IdFormer.from_weights(random_like(v1_1(12, 6, 8, 128, 4, 3, layers=9)), "a file")
    with pytest.raises(RunError, match="100 wide, not a multiple of its heads' 64"):
        IdFormer.from_weights(random_like(v1_1(12, 6, 8, 100, 4, 3)), "a file")
    one_each = IdFormer.from_weights(random_like(v1_1(12, 6, 8, 64, 4, 3, layers=5)), "a file")
    assert len(one_each.layers) == 5
