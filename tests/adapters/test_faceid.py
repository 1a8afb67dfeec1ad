"""The FaceID adapter reads the hub's layout strictly and encodes people one by one."""

import copy

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from doubles.tiny_recipe import person

from idgen.adapters.faceid import FaceId
from idgen.adapters.protocol import Person
from idgen.errors import RunError
from idgen.networks.attention import layer
from idgen.tiny import sd15, world


@pytest.fixture(scope="module")
def state():
    return torch.load(world.locate("faceid_sd15"), weights_only=True)


def fresh_unet():
    return UNet2DConditionModel.from_pretrained(world.locate("sd15") / "unet")


@pytest.fixture(scope="module")
def loaded():
    adapter = FaceId("faceid", lora_scale=0.5)
    unet = fresh_unet()
    adapter.load(unet, [world.locate("faceid_sd15")])
    return adapter, unet


def load_changed(state, tmp_path, change):
    changed = copy.deepcopy(state)
    change(changed)
    torch.save(changed, tmp_path / "changed.bin")
    FaceId("faceid").load(fresh_unet(), [tmp_path / "changed.bin"])


def test_a_branch_for_each_of_16_layers_in_the_files_order(loaded, state):
    adapter, _ = loaded
    assert len(adapter.branches) == 16
    for number, branch in enumerate(adapter.branches):
        assert torch.equal(branch.k.weight, state["ip_adapter"][f"{2 * number + 1}.to_k_ip.weight"].float())


def test_every_attention_gets_scale_times_up_times_down(loaded, state):
    _, merged = loaded
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
        (lambda s: s["ip_adapter"].pop("31.to_v_ip.weight"), "31.to_v_ip"),
        (lambda s: s["ip_adapter"].update({"2.to_k_ip.weight": torch.zeros(1)}), "2.to_k_ip"),
        (lambda s: s["ip_adapter"].pop("0.to_q_lora.up.weight"), "LoRA.*0.to_q_lora.up"),
        (lambda s: s["ip_adapter"].update({"1.to_k_ip.weight": torch.zeros(7, 64)}), "another kind of base"),
        (lambda s: s["ip_adapter"].update({"1.to_q_lora.up.weight": torch.zeros(7, 8)}), "another kind of base"),
        (lambda s: s.update({"unet.x": torch.zeros(1)}), "separate LoRA file"),
    ],
)
def test_missing_unknown_and_misshapen_tensors_are_refused_by_name(state, tmp_path, change, message):
    with pytest.raises(RunError, match=f"(?s)changed.bin.*{message}"):
        load_changed(state, tmp_path, change)


def test_the_hubs_separate_lora_file_is_not_taken_for_the_adapter():
    with pytest.raises(RunError, match="separate LoRA file"):
        FaceId("faceid").load(fresh_unet(), [world.ensure() / "ip-adapter-faceid_sd15_lora.safetensors"])


def test_the_separate_lora_file_holds_the_same_weights(state):
    from safetensors.torch import load_file

    separate = load_file(world.ensure() / "ip-adapter-faceid_sd15_lora.safetensors")
    for index, name in enumerate(UNet2DConditionModel(**sd15.UNET).attn_processors):
        key = "to_q_lora.down.weight"
        assert torch.equal(separate[f"unet.{name}.{key}"], state["ip_adapter"][f"{index}.{key}"])
    assert len(separate) == 256


def test_tokens_depend_on_the_direction_of_an_embedding_not_on_its_length(loaded):
    adapter, _ = loaded
    (short,), (long,) = (adapter.encode([Person(person(1) * factor)], {}) for factor in (1, 20))
    torch.testing.assert_close(short.cond, long.cond, atol=1e-5, rtol=1e-5)
    assert short.cond.shape == (1, 4, 64)


def test_unconditional_tokens_are_the_projection_of_zeros_not_zeros(loaded):
    adapter, _ = loaded
    (tokens,) = adapter.encode([Person(person(1, references=2))], {})
    assert tokens.uncond.shape == tokens.cond.shape == (2, 4, 64)
    assert torch.equal(tokens.uncond[0], adapter.projection(torch.zeros(1, 512))[0])
    assert tokens.uncond.abs().max() > 0.1


def test_people_encoded_together_get_what_they_get_alone(loaded):
    adapter, _ = loaded
    people = [Person(person(number, references=1 + number)) for number in range(3)]
    for one, together in zip(people, adapter.encode(people, {}), strict=True):
        assert torch.equal(adapter.encode([one], {})[0].cond, together.cond)
    assert np.abs(people[0].id_embedding - people[1].id_embedding[:1]).max() > 1
