"""A LoRA file that is not a plain LoRA of this family, used to its last tensor, is refused with what to do."""

import shutil

import pytest
import torch
from doubles.tiny_recipe import lora
from safetensors.torch import load_file, save_file

from idgen.errors import Exit, RunError
from idgen.recipes import Base, Lora
from idgen.sampling import bases
from idgen.tiny import world


def load(kind, one):
    return bases.load(Base(kind=kind, weights=f"tiny:{kind}", dtype="float32", loras=[one]))


def extra(tensors):
    return {**tensors, "lora_unet_nowhere_to_q.lora_down.weight": torch.zeros(2, 4),
            "lora_unet_nowhere_to_q.lora_up.weight": torch.zeros(4, 2)}  # fmt: skip


def lone_alpha(tensors):
    return {**tensors, "lora_unet_nowhere_to_q.alpha": torch.tensor(1.0)}


def dora(tensors):
    return {**tensors, next(iter(tensors)).partition(".")[0] + ".dora_scale": torch.ones(16, 1)}


def loha(tensors):
    stem = next(iter(tensors)).partition(".")[0]
    return {f"{stem}.hada_w1_a": torch.ones(16, 2), f"{stem}.hada_w1_b": torch.ones(2, 16)}


def halved(tensors):
    return {name: tensor for name, tensor in tensors.items() if "lora_up" not in name}


def unprefixed(tensors):
    return {name.replace("lora_unet_", "lora_transformer_"): tensor for name, tensor in tensors.items()}


def adapter(_tensors):
    return {"image_proj.norm.weight": torch.ones(4)}


def nothing(_tensors):
    return {"lora_unet_x.alpha": torch.tensor(1.0)}


PEFT = "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q.lora_{}.weight"


def halves(*names):
    """A LoRA over one layer, with each of the names in place of A and B."""
    return {
        PEFT.format(f"{half}{name}"): torch.rand(shape)
        for name in names
        for half, shape in (("A", (2, 32)), ("B", (32, 2)))
    }


def wrong_start(_tensors):
    return {name.replace("unet.", "unet.base_model.model."): tensor for name, tensor in halves("").items()}


@pytest.mark.parametrize("end", ["weight2", "default.extra.weight", "weight.default"])
def test_as_many_places_as_tensors_are_not_enough(end, tmp_path):
    odd = {name.replace("weight", end): tensor for name, tensor in halves("").items()}
    save_file(odd, tmp_path / "odd.safetensors")
    with pytest.raises(RunError, match=rf"0 of its 2 tensors have a place in this base, .*{end} has none"):
        load("sd15", Lora(name="odd", weights=str(tmp_path / "odd.safetensors")))


def test_a_file_with_several_adapters_is_refused(tmp_path):
    save_file(halves(".default", ".style"), tmp_path / "two.safetensors")
    with pytest.raises(RunError, match="several LoRAs at once"):
        load("sd15", Lora(name="odd", weights=str(tmp_path / "two.safetensors")))


@pytest.mark.parametrize("change", [wrong_start, extra, lone_alpha, dora, loha, halved, unprefixed, adapter, nothing])
def test_a_file_that_is_not_used_to_the_last_tensor_is_refused(change, tmp_path):
    path = tmp_path / "odd.safetensors"
    save_file(change(load_file(world.locate("lcm_lora_sd15"))), path)
    with pytest.raises(RunError, match=r"LoRA odd: .*odd.safetensors does not fit .*family of bases") as caught:
        load("sd15", Lora(name="odd", weights=str(path)))
    assert caught.value.exit_code == Exit.USAGE


def test_the_hubs_lcm_loras_are_not_interchangeable():
    with pytest.raises(RunError, match=r"LoRA lcm: .*works only on the family"):
        load("sdxl", lora("sd15"))


@pytest.mark.parametrize("name", ["style.bin", "style.pt", "style.ckpt"])
def test_only_safetensors_are_read(name, tmp_path):
    torch.save(load_file(world.locate("lcm_lora_sd15")), tmp_path / name)
    with pytest.raises(RunError, match=r"is no .safetensors file; give that file"):
        load("sd15", Lora(name="style", weights=str(tmp_path / name)))


def test_values_that_are_no_numbers_are_refused(tmp_path):
    tensors = load_file(world.locate("lcm_lora_sd15"))
    first = next(name for name in tensors if "lora_up" in name)
    save_file({**tensors, first: tensors[first] * float("nan")}, tmp_path / "nan.safetensors")
    with pytest.raises(RunError, match="LoRA nan"):
        load("sd15", Lora(name="nan", weights=str(tmp_path / "nan.safetensors")))


def test_another_file_than_the_pinned_one_is_refused(tmp_path):
    shutil.copy(world.locate("lcm_lora_sd15"), tmp_path / "x.safetensors")
    with pytest.raises(RunError, match="pins 00"):
        load("sd15", Lora(name="x", weights=str(tmp_path / "x.safetensors"), sha256="00"))
