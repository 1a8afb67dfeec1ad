"""Every kind of IP-Adapter reads the hub's layout strictly, and encodes references one by one."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from adapters.loading import IP_KINDS, encoder, fresh_unet, load, path_of
from diffusers import UNet2DConditionModel
from doubles.tiny_recipe import adapter as spec_of
from doubles.tiny_recipe import person, picture

from idgen.adapters import table
from idgen.adapters.ip_adapter import IpAdapter
from idgen.adapters.protocol import Person
from idgen.errors import RunError
from idgen.networks import checkpoints
from idgen.networks.attention import layer
from idgen.recipes.variants import VARIANTS, picture_need
from idgen.sampling.families.cross_attention import host_of
from idgen.tiny import sd15, world

TOKENS = {
    "ip_adapter": 4,
    "ip_adapter_plus": 16,
    "ip_adapter_plus_face": 16,
    "ip_adapter_full_face": 257,
    "faceid": 4,
    "faceid_plus": 4,
    "faceid_plusv2": 4,
    "faceid_portrait": 16,
    "faceid_portrait_unnorm": 16,
    "kolors_faceid_plus": 6,
    "kolors_ip_adapter_plus": 16,
}
FAMILY = {"faceid_portrait_unnorm": "sdxl", "kolors_faceid_plus": "kolors", "kolors_ip_adapter_plus": "kolors"}
"""Of kinds that SD1.5 has no file for."""


@pytest.fixture(scope="module", params=IP_KINDS)
def any_kind(request):
    return load(request.param, FAMILY.get(request.param, "sd15"))


@pytest.fixture(scope="module")
def faceid():
    unet = fresh_unet()
    adapter = IpAdapter(spec_of("faceid"), lora_scale=0.5)
    adapter.load(host_of(unet), [world.locate("faceid_sd15")])
    return adapter, unet


@pytest.fixture(scope="module")
def state():
    return torch.load(world.locate("faceid_sd15"), weights_only=True)


def someone(adapter: IpAdapter, number: int = 1, references: int = 1) -> Person:
    """A person with all that `adapter` may look at."""
    need = picture_need(spec_of(adapter.kind, FAMILY.get(adapter.kind, "sd15")))
    crops = {} if need is None else {need.name: picture(number, references, need.size_px)}
    return Person(person(number, references), crops)


def test_the_table_makes_every_kind_of_the_variants_table():
    made = {kind: table.make(spec_of(kind, FAMILY.get(kind, "sd15")), 1.0, None) for kind in VARIANTS}
    assert [adapter.kind for adapter in made.values()] == list(VARIANTS)
    assert {kind for kind, adapter in made.items() if adapter.option_names} == {"faceid_plusv2"}


def test_each_kind_makes_its_number_of_tokens_per_reference(any_kind):
    (tokens,) = any_kind.encode([someone(any_kind, references=3)], {})
    width = any_kind.projection.token_width
    assert tokens.cond.shape == tokens.uncond.shape == (3, TOKENS[any_kind.kind], width)
    assert {tokens.cond.dtype, tokens.uncond.dtype} == {torch.float32}


def test_people_and_references_encoded_together_get_what_they_get_alone(any_kind):
    people = [someone(any_kind, number, references=number) for number in (1, 2, 3)]
    for one, together in zip(people, any_kind.encode(people, {}), strict=True):
        assert torch.equal(any_kind.encode([one], {})[0].cond, together.cond)
    (both,) = any_kind.encode([people[1]], {})
    first = Person(people[1].id_embedding[:1], {name: crops[:1] for name, crops in people[1].crops.items()})
    assert torch.equal(any_kind.encode([first], {})[0].cond, both.cond[:1])
    assert (both.cond[0] - both.cond[1]).abs().max() > 0.01


def test_unconditional_tokens_are_a_constant_that_is_not_zero_and_depends_on_nobody(any_kind):
    first, second = (any_kind.encode([someone(any_kind, number)], {})[0].uncond for number in (1, 2))
    assert torch.equal(first, second)
    assert first.abs().max() > 0.1


def test_unconditional_tokens_are_projections_of_zeros():
    nobody = torch.zeros(1, 512)
    mean_colour = encoder("tiny:clip_vit_h").model(torch.zeros(1, 3, 224, 224), output_hidden_states=True)
    zeros = mean_colour.hidden_states[-2]
    expected = {
        "faceid": lambda projection: projection(nobody),
        "ip_adapter": lambda projection: projection(torch.zeros_like(mean_colour.image_embeds)),
        "ip_adapter_plus": lambda projection: projection(zeros),
        "faceid_plus": lambda projection: projection.look(nobody, zeros, None),
        "faceid_plusv2": lambda projection: projection(nobody) + 0.3 * projection.look(nobody, zeros, None),
    }
    for kind, formula in expected.items():
        adapter = load(kind)
        (tokens,) = adapter.encode([someone(adapter, references=2)], {"shortcut_scale": 0.3})
        torch.testing.assert_close(tokens.uncond, formula(adapter.projection).expand(2, -1, -1), atol=1e-6, rtol=1e-6)


def test_only_version_two_listens_to_the_shortcuts_scale_and_its_unconditional_tokens_do_too():
    for kind, listens in (("faceid_plus", False), ("faceid_plusv2", True)):
        adapter = load(kind)
        weak, strong, again = (
            adapter.encode([someone(adapter)], {"shortcut_scale": scale})[0] for scale in (0.5, 2.0, 0.5)
        )
        assert torch.equal(weak.cond, strong.cond) != listens
        assert torch.equal(weak.uncond, strong.uncond) != listens
        assert torch.equal(weak.cond, again.cond)
        assert torch.equal(weak.uncond, again.uncond)
    default, one = (adapter.encode([someone(adapter)], options)[0] for options in ({}, {"shortcut_scale": 1.0}))
    assert torch.equal(default.cond, one.cond)


@pytest.mark.parametrize(
    ("kind", "same"), [("faceid", True), ("faceid_portrait", True), ("faceid_portrait_unnorm", False)]
)
def test_normed_kinds_read_the_direction_of_an_embedding_and_the_raw_one_its_length_too(kind, same):
    adapter = load(kind, FAMILY.get(kind, "sd15"))
    short, long = (adapter.encode([Person(person(1) * factor)], {})[0].cond for factor in (1, 0.05))
    assert ((short - long).abs().max() < 1e-5) == same


def test_the_unnormed_portrait_which_has_no_golden_makes_the_tokens_that_diffusers_makes_of_its_file():
    adapter, weights = (
        load("faceid_portrait_unnorm", "sdxl"),
        checkpoints.read(world.locate("faceid_portrait_sdxl_unnorm")),
    )
    state = {
        part: {name.removeprefix(f"{part}."): one.float() for name, one in weights.items() if name.startswith(part)}
        for part in ("image_proj", "ip_adapter")
    }
    unet = fresh_unet("sdxl")
    unet._load_ip_adapter_weights([state])
    (projection,) = unet.encoder_hid_proj.image_projection_layers
    raw = person(1, 2)
    with torch.no_grad():
        cond, uncond = (projection(torch.from_numpy(one)[:, None]) for one in (raw, 0 * raw))
    ours = adapter.encode([Person(raw)], {})[0]
    torch.testing.assert_close(ours.cond, cond.view_as(ours.cond), atol=2e-4, rtol=0)
    torch.testing.assert_close(ours.uncond, uncond.view_as(ours.uncond), atol=2e-4, rtol=0)
    assert (ours.cond - ours.uncond).abs().max() > 0.1


def test_a_picture_goes_through_the_encoder_once_for_two_adapters_and_any_shortcut_scale():
    shared = encoder("tiny:clip_vit_h")
    shared.clear()
    plus, again = load("faceid_plusv2"), load("faceid_plus")
    before = shared.encodings
    for scale in (0.5, 1.0, 2.0):
        plus.encode([someone(plus, 7), someone(plus, 8)], {"shortcut_scale": scale})
    again.encode([someone(again, 7)], {})
    assert shared.encodings - before == 2


def test_a_branch_for_each_of_16_layers_in_the_files_order(faceid, state):
    adapter, _ = faceid
    assert len(adapter.branches) == 16
    for number, branch in enumerate(adapter.branches):
        assert torch.equal(branch.k.weight, state["ip_adapter"][f"{2 * number + 1}.to_k_ip.weight"].float())
        assert torch.equal(branch.v.weight, state["ip_adapter"][f"{2 * number + 1}.to_v_ip.weight"].float())


def test_every_attention_gets_scale_times_up_times_down(faceid, state):
    _, merged = faceid
    plain = fresh_unet()
    for index, name in enumerate(plain.attn_processors):
        for target, path in (("to_q", "to_q"), ("to_k", "to_k"), ("to_v", "to_v"), ("to_out", "to_out.0")):
            down, up = (state["ip_adapter"][f"{index}.{target}_lora.{half}.weight"].float() for half in ("down", "up"))
            before, after = (layer(unet, name).get_submodule(path).weight for unet in (plain, merged))
            torch.testing.assert_close(after - before, 0.5 * (up @ down), atol=1e-6, rtol=1e-4)
            assert (after - before).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s["image_proj"].pop("norm.bias"), "image_proj.*norm.bias"),
        (lambda s: s["image_proj"].update({"proj.9.weight": torch.zeros(1)}), "image_proj.*proj.9"),
        (lambda s: s["image_proj"].update({"norm.bias": torch.zeros(9)}), "image_proj norm.bias is .9,"),
        (lambda s: s["ip_adapter"].pop("31.to_v_ip.weight"), "31.to_v_ip"),
        (lambda s: s["ip_adapter"].update({"2.to_k_ip.weight": torch.zeros(1)}), "2.to_k_ip"),
        (lambda s: s["ip_adapter"].pop("0.to_q_lora.up.weight"), "LoRA.*0.to_q_lora.up"),
        (lambda s: s["ip_adapter"].update({"1.to_k_ip.weight": torch.zeros(7, 64)}), "another kind of base"),
        (lambda s: s["ip_adapter"].update({"1.to_q_lora.up.weight": torch.zeros(7, 8)}), "another kind of base"),
        (lambda s: s.update({"unet.x": torch.zeros(1)}), "separate LoRA file"),
    ],
)
def test_missing_unknown_and_misshapen_tensors_are_refused_by_name(state, tmp_path, change, message):
    changed = copy.deepcopy(state)
    change(changed)
    torch.save(changed, tmp_path / "changed.bin")
    with pytest.raises(RunError, match=f"(?s)changed.bin.*{message}"):
        IpAdapter(spec_of("faceid")).load(host_of(fresh_unet()), [tmp_path / "changed.bin"])


@pytest.mark.parametrize("kind", IP_KINDS)
def test_any_missing_tensor_of_any_kind_is_refused(kind):
    spec = spec_of(kind, FAMILY.get(kind, "sd15"))
    weights = checkpoints.read(path_of(spec))
    unet = fresh_unet(FAMILY.get(kind, "sd15"))
    projection = sorted(name for name in weights if name.startswith("image_proj."))
    for name in [*projection, next(name for name in weights if name.endswith(".1.to_k_ip.weight"))]:
        rest = {key: tensor for key, tensor in weights.items() if key != name}
        adapter = IpAdapter(spec, encoder=encoder(spec.image_encoder))
        with pytest.raises(RunError, match=name.partition(".")[2].replace(".", r"\.")):
            adapter.fit(host_of(unet), rest, "a file")


def test_the_hubs_separate_lora_file_is_not_taken_for_the_adapter():
    with pytest.raises(RunError, match="separate LoRA file"):
        IpAdapter(spec_of("faceid")).load(
            host_of(fresh_unet()), [world.ensure() / "ip-adapter-faceid_sd15_lora.safetensors"]
        )


def test_the_separate_lora_file_holds_the_same_weights(state):
    separate = checkpoints.read(world.ensure() / "ip-adapter-faceid_sd15_lora.safetensors")
    for index, name in enumerate(UNet2DConditionModel(**sd15.UNET).attn_processors):
        key = "to_q_lora.down.weight"
        assert torch.equal(separate[f"unet.{name}.{key}"], state["ip_adapter"][f"{index}.{key}"])
    assert len(separate) == 256


def test_a_pinned_hash_is_checked(tmp_path):
    adapter = IpAdapter(replace(spec_of("faceid"), sha256="0" * 64))
    with pytest.raises(RunError, match="pins"):
        adapter.load(host_of(fresh_unet()), [world.locate("faceid_sd15")])


def test_a_person_without_what_the_adapter_needs_is_a_bug_that_says_so():
    portrait, plus, face = load("faceid_portrait"), load("ip_adapter_plus"), load("faceid_plus")
    with pytest.raises(ValueError, match="neither embeddings nor pictures"):
        portrait.encode([Person(np.empty((0, 512), np.float32))], {})
    with pytest.raises(ValueError, match="needs the crop picture-224-rgb-crop-224"):
        plus.encode([Person(person(1))], {})
    lonely = Person(person(1, 2), someone(face, 1, 1).crops)
    with pytest.raises(ValueError, match="2 embeddings and 1 pictures"):
        face.encode([lonely], {})
