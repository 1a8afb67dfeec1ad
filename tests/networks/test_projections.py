"""Projections take their sizes from the weights, and only weights that fit each other."""

import pytest
import torch
from torch.nn import functional

from idgen.errors import Exit, RunError
from idgen.networks.projections import FaceIdProjection, ImageProjection, MlpProjection
from idgen.networks.resampler import FaceIdPlusProjection, Resampler


def random_like(shapes: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(shape, generator=generator).half() for name, shape in shapes.items()}


def linear_like(name: str, out: int, seen: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (out, seen), f"{name}.bias": (out,)}


def norm_like(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def perceiver(width: int, inner: int, out: int, depth: int) -> dict[str, tuple[int, ...]]:
    shapes = {**linear_like("proj_in", width, 5), **linear_like("proj_out", out, width), **norm_like("norm_out", out)}
    for number in range(depth):
        of = f"layers.{number}"
        shapes |= {**norm_like(f"{of}.0.norm1", width), **norm_like(f"{of}.0.norm2", width)}
        shapes |= {f"{of}.0.to_q.weight": (inner, width), f"{of}.0.to_kv.weight": (2 * inner, width)}
        shapes |= {f"{of}.0.to_out.weight": (width, inner), **norm_like(f"{of}.1.0", width)}
        shapes |= {f"{of}.1.1.weight": (4 * width, width), f"{of}.1.3.weight": (width, 4 * width)}
    return shapes


IMAGE = {**linear_like("proj", 12, 5), **norm_like("norm", 4)}
MLP = {**linear_like("proj.0", 7, 5), **linear_like("proj.2", 4, 7), **norm_like("proj.3", 4)}
FACEID = {**linear_like("proj.0", 7, 5), **linear_like("proj.2", 128, 7), **norm_like("norm", 64)}
RESAMPLER = {"latents": (1, 3, 32), **perceiver(32, 128, 10, 2)}
FACEID_PLUS = FACEID | {f"perceiver_resampler.{key}": shape for key, shape in perceiver(64, 64, 64, 3).items()}
ALL = [
    (ImageProjection, IMAGE),
    (MlpProjection, MLP),
    (FaceIdProjection, FACEID),
    (Resampler, RESAMPLER),
    (FaceIdPlusProjection, FACEID_PLUS),
]
each = pytest.mark.parametrize(("made", "shapes"), ALL, ids=lambda one: getattr(one, "__name__", ""))


@each
def test_weights_come_back_as_they_were_in_float32_and_frozen(made, shapes):
    weights = random_like(shapes)
    state = made.from_weights(weights, "a file").state_dict()
    assert state.keys() == weights.keys()
    assert all(torch.equal(state[name], tensor.float()) for name, tensor in weights.items())
    assert not any(one.requires_grad for one in made.from_weights(weights, "a file").parameters())


@each
def test_every_tensor_of_a_shape_that_does_not_fit_the_rest_is_refused_by_the_files_name(made, shapes):
    for name, shape in shapes.items():
        for wrong in ((shape[0] + 1, *shape[1:]), (*shape, 1), ()):
            with pytest.raises(RunError, match="a file: image_proj") as caught:
                made.from_weights(random_like(shapes | {name: wrong}), "a file")
            assert caught.value.exit_code == Exit.USAGE


@each
def test_missing_and_unknown_tensors_are_refused_by_name(made, shapes):
    for name in shapes:
        with pytest.raises(RunError, match=name.replace(".", r"\.")):
            made.from_weights(random_like({key: shape for key, shape in shapes.items() if key != name}), "a file")
    with pytest.raises(RunError, match="surprise"):
        made.from_weights(random_like(shapes | {"surprise": (1,)}), "a file")


def test_a_resampler_is_the_formula_written_out():
    weights = {name: tensor.float() for name, tensor in random_like(RESAMPLER).items()}
    features = torch.randn(2, 9, 5, generator=torch.Generator().manual_seed(1))

    def linear(name, x):
        return functional.linear(x, weights[f"{name}.weight"], weights.get(f"{name}.bias"))

    def norm(name, x):
        return functional.layer_norm(x, x.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"])

    x, latents = linear("proj_in", features), weights["latents"].repeat(2, 1, 1)
    for number in range(2):
        of = f"layers.{number}"
        asking = norm(f"{of}.0.norm2", latents)
        keys, values = linear(f"{of}.0.to_kv", torch.cat([norm(f"{of}.0.norm1", x), asking], 1)).split(128, -1)
        heads = []
        for head in (slice(0, 64), slice(64, 128)):
            query = linear(f"{of}.0.to_q", asking)[..., head]
            heads.append(torch.softmax(query @ keys[..., head].transpose(1, 2) / 8, -1) @ values[..., head])
        latents = latents + linear(f"{of}.0.to_out", torch.cat(heads, -1))
        fed = linear(f"{of}.1.1", norm(f"{of}.1.0", latents))
        latents = latents + linear(f"{of}.1.3", functional.gelu(fed))
    expected = norm("norm_out", linear("proj_out", latents))
    torch.testing.assert_close(Resampler.from_weights(weights, "a file")(features), expected, atol=1e-3, rtol=1e-3)
    assert expected.shape == (2, 3, 10)


def test_attention_that_is_no_whole_number_of_heads_wide_is_refused():
    with pytest.raises(RunError, match="100 wide, not a multiple of its heads' 64"):
        Resampler.from_weights(random_like({"latents": (1, 3, 32), **perceiver(32, 100, 10, 2)}), "a file")


def test_the_shortcut_adds_what_the_perceiver_saw_to_what_it_was_given():
    projection = FaceIdPlusProjection.from_weights(random_like(FACEID_PLUS), "a file")
    embedding, features = torch.randn(2, 5), torch.randn(2, 9, 5)
    seen = projection.look(embedding, features, None)
    both = projection.look(embedding, features, 0.25)
    torch.testing.assert_close(both, projection(embedding) + 0.25 * seen)
    assert torch.equal(projection.look(embedding, features, 0.0), projection(embedding))
