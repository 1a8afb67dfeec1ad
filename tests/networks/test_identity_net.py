"""IdentityNet: a ControlNet that reads its own context, as strong as each row wants it."""

import pytest
import torch
from diffusers import ControlNetModel

from idgen.networks import identity_net
from idgen.networks.attention import BoundAttention
from idgen.networks.identity_net import IdentityNet
from idgen.sampling.controls import PresentControls
from idgen.tiny import extras, sdxl

ROWS, TOKENS = 4, 16


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A net as InstantID publishes it."""
    torch.set_num_threads(1)
    made = tmp_path_factory.mktemp("instantid") / "ControlNetModel"
    extras.write_controlnet(made, sdxl.UNET, "identity")
    return made


@pytest.fixture(scope="module")
def plain(folder):
    return ControlNetModel.from_pretrained(folder, dtype=torch.float32).eval()


@pytest.fixture
def net(folder):
    return identity_net.load(folder, torch.float32)


@pytest.fixture(scope="module")
def given():
    """What a pipeline hands to a ControlNet."""
    torch.manual_seed(0)
    return {
        "sample": torch.randn(ROWS, 4, 8, 8),
        "timestep": torch.tensor(500),
        "encoder_hidden_states": torch.randn(ROWS, 77, sdxl.TEXT_WIDTH),
        "controlnet_cond": torch.rand(ROWS, 3, 64, 64),
        "added_cond_kwargs": {
            "text_embeds": torch.randn(ROWS, sdxl.TEXT_WIDTHS[1]),
            "time_ids": torch.full((ROWS, 6), 64.0),
        },
        "guess_mode": False,
        "return_dict": False,
    }


def context(people=1, seed=1):
    torch.manual_seed(seed)
    return torch.randn(ROWS, people, TOKENS, sdxl.TEXT_WIDTH)


ROUNDING = 2e-5
"""Keys and values are made for all rows at once, and some processors' libraries add up otherwise then (AMX: 5e-6)."""


def gap(one, other):
    """Largest difference of two nets' residuals, or of those to zero."""
    pairs = zip([*one[0], one[1]], [*other[0], other[1]], strict=True)
    return max((first - second).abs().max().item() for first, second in pairs)


def rows_of(given, rows):
    """The same for some rows."""
    cut = {name: one[rows] if torch.is_tensor(one) and one.ndim else one for name, one in given.items()}
    return cut | {"added_cond_kwargs": {name: one[rows] for name, one in given["added_cond_kwargs"].items()}}


def size(residuals):
    return max(one.abs().max().item() for one in [*residuals[0], residuals[1]])


@torch.inference_mode()
def test_it_is_the_stock_net_that_reads_the_bound_context(net, plain, given):
    net.bind(context(), torch.full((ROWS,), 0.8))
    wanted = plain(**given | {"encoder_hidden_states": context()[:, 0], "conditioning_scale": 0.8})
    assert gap(net(**given), wanted) < ROUNDING
    assert gap(net(**given | {"encoder_hidden_states": None}), wanted) < ROUNDING
    text = plain(**given | {"conditioning_scale": 0.8})
    assert gap(text, wanted) > 0.01 * size(wanted)


@torch.inference_mode()
def test_people_of_a_row_stand_in_one_softmax(net, plain, given):
    net.bind(context(people=2), torch.ones(ROWS))
    wanted = plain(**given | {"encoder_hidden_states": context(people=2).flatten(1, 2)})
    assert gap(net(**given), wanted) < ROUNDING


@torch.inference_mode()
def test_every_row_has_its_own_person_and_strength(net, given):
    scales = torch.tensor([0.0, 0.3, 0.8, 1.5])
    net.bind(context(), scales.view(-1, 1, 1))
    down, mid = net(**given)
    assert max(one[0].abs().max() for one in [*down, mid]) == 0
    for row in range(ROWS):
        net.bind(context()[row : row + 1], scales[row : row + 1])
        alone = net(**rows_of(given, slice(row, row + 1)))
        assert gap(alone, ([one[row : row + 1] for one in down], mid[row : row + 1])) < 2e-5
    order = [2, 0, 3, 1]
    net.bind(context()[order], scales[order])
    assert gap(net(**rows_of(given, order)), ([one[order] for one in down], mid[order])) < 2e-5


@torch.inference_mode()
def test_steps_outside_of_start_and_end_cost_nothing(net, given, monkeypatch):
    monkeypatch.setattr(ControlNetModel, "forward", lambda *_args, **_rest: pytest.fail("the net was run"))
    net.bind(context(), torch.ones(ROWS))
    assert net(**given, conditioning_scale=0.0) == (None, None)
    found = net(**given | {"return_dict": True}, conditioning_scale=0.0)
    assert (found.down_block_res_samples, found.mid_block_res_sample) == (None, None)


@torch.inference_mode()
def test_beside_another_net_residuals_add_up_and_that_one_reads_the_text(net, plain, given):
    net.bind(context(), torch.linspace(0.2, 1, ROWS))
    both = PresentControls([net, plain])
    rest = {name: one for name, one in given.items() if name != "controlnet_cond"}
    images = [given["controlnet_cond"], given["controlnet_cond"].flip(-1)]
    own, other = net(**given), plain(**given | {"controlnet_cond": images[1], "conditioning_scale": 0.5})
    summed = [one + two for one, two in zip(own[0], other[0], strict=True)], own[1] + other[1]
    assert gap(both(**rest, controlnet_cond=images, conditioning_scale=[1.0, 0.5]), summed) == 0
    assert gap(both(**rest, controlnet_cond=images, conditioning_scale=[0.0, 0.5]), other) == 0
    assert both(**rest, controlnet_cond=images, conditioning_scale=[0.0, 0.0]) == (None, None)


@torch.inference_mode()
def test_what_does_not_fit_the_rows_is_refused(net, given):
    with pytest.raises(RuntimeError, match="bind"):
        net(**given)
    net.bind(context()[:2], torch.ones(2))
    with pytest.raises(RuntimeError, match="bound to 2 rows with 2 scales and was given 4"):
        net(**given)
    net.bind(context(), torch.ones(1))
    with pytest.raises(RuntimeError, match="with 1 scales"):
        net(**given)
    net.bind(context(), torch.ones(ROWS))
    with pytest.raises(RuntimeError, match="guess mode"):
        net(**given | {"guess_mode": True})
    net.unbind()
    with pytest.raises(RuntimeError, match="bind"):
        net(**given)


@torch.inference_mode()
def test_keys_and_values_of_the_context_are_made_when_it_is_bound_and_not_in_steps(net, given):
    layers = [part for name, part in net.named_modules() if name.endswith("attn2")]
    made = []
    hooks = [one.register_forward_hook(lambda *_: made.append(1)) for part in layers for one in (part.to_k, part.to_v)]
    net.bind(context(), torch.ones(ROWS))
    assert len(made) == 2 * len(layers) == 2 * 34
    first = net(**given)
    second = net(**given | {"timestep": torch.tensor(20)})
    assert len(made) == 2 * len(layers)
    assert gap(first, second) > 0
    for hook in hooks:
        hook.remove()
    net.unbind()
    held = [one for one in net.attn_processors.values() if isinstance(one, BoundAttention)]
    assert len(held) == 34
    assert all(one.text_key is None and one.text_value is None for one in held)


@torch.inference_mode()
def test_read_by_diffusers_own_loader_it_does_the_same_with_diffusers_attention(folder, net, given):
    stock = IdentityNet.from_pretrained(folder, dtype=torch.float32).eval()
    for one in (stock, net):
        one.bind(context(), torch.linspace(0.2, 1, ROWS))
    assert gap(stock(**given), net(**given)) == 0


def test_a_context_of_another_width_is_refused(net):
    with pytest.raises(RuntimeError, match=f"reads a context {sdxl.TEXT_WIDTH} wide, but was given one 7 wide"):
        net.bind(torch.zeros(ROWS, 1, TOKENS, 7), torch.ones(ROWS))


def test_what_is_bound_takes_the_nets_dtype(folder):
    half = identity_net.load(folder, torch.bfloat16)
    half.bind(context(), torch.ones(ROWS))
    assert {half.dtype, half.context.dtype, half.scale.dtype} == {torch.bfloat16}
    assert half.scale.shape == (ROWS, 1, 1, 1)
    assert not half.training
    assert not any(one.requires_grad for one in half.parameters())
    assert half.state_dict().keys() == ControlNetModel.from_config(half.config).state_dict().keys()
