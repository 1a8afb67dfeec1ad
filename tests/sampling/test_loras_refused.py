"""A LoRA file that is not a plain LoRA of this family, used to its last tensor, is refused with what to do."""

import shutil

import pytest
import torch
from doubles.tiny_recipe import lora
from safetensors.torch import load_file, save_file

from idgen.errors import Exit, RunError
from idgen.recipes.recipe import Base, Lora
from idgen.sampling import bases, lora_names
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
    halves = {f"w{at}_{half}": shape for at in (1, 2) for half, shape in (("a", (16, 2)), ("b", (2, 16)))}
    return {f"{stem}.hada_{half}": torch.ones(shape) for half, shape in halves.items()} | alpha_of(stem)


def lokr(tensors):
    stem = next(iter(tensors)).partition(".")[0]
    return {f"{stem}.lokr_w1": torch.ones(4, 4), f"{stem}.lokr_w2": torch.ones(4, 4)} | alpha_of(stem)


def alpha_of(stem):
    return {f"{stem}.alpha": torch.tensor(1.0)}


def dora_of_peft(_tensors):
    vector = PEFT.replace("lora_{}.weight", "lora_magnitude_vector")
    return halves("") | {vector: torch.ones(32)}


def tucker(tensors):
    return {**tensors, next(iter(tensors)).partition(".")[0] + ".lora_mid.weight": torch.ones(2, 2, 3, 3)}


def whole(tensors):
    return {next(iter(tensors)).partition(".")[0] + ".diff": torch.ones(16, 16)}


def embeddings(tensors):
    return {**tensors, "bundle_emb.word.string_to_param.*": torch.ones(1, 32)}


def made_up(tensors):
    return {**tensors, "made_up.weight": torch.ones(3)}


def wrong_end(_tensors):
    return {name.replace("weight", "weight2"): tensor for name, tensor in halves("").items()}


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


@pytest.mark.parametrize("start", ["nowhere.", "mid_block.attentions.7."])
def test_a_layer_that_the_base_lacks_is_named(start, tmp_path):
    odd = {name.replace("mid_block.attentions.0.", start): tensor for name, tensor in halves("").items()}
    save_file(odd, tmp_path / "odd.safetensors")
    with pytest.raises(RunError, match=rf"LoRA odd: .* does not fit .*'{start}"):
        load("sd15", Lora(name="odd", weights=str(tmp_path / "odd.safetensors")))


NO_LORAS = [
    (loha, "is a LoHa .*4 of its tensors .*hada_w1_a, .*hada_w1_b, .*hada_w2_a"),
    (lokr, r"is a LoKr .*lokr_w1, .*lokr_w2\b"),
    (dora, "is a DoRA.*1 of its tensors .*dora_scale"),
    (dora_of_peft, "is a DoRA.*lora_magnitude_vector"),
    (tucker, "is a LoCon with a Tucker core.*lora_mid.weight"),
    (whole, r"is a LyCORIS with full weights.*\.diff\b"),
    (embeddings, "is a LoRA with embeddings.*bundle_emb.word"),
    (adapter, "is the file of an IP-Adapter.*image_proj.norm.weight"),
    (made_up, r"1 tensors would not be read \(made_up.weight\)"),
    (lone_alpha, r"1 tensors would not be read \(lora_unet_nowhere_to_q.alpha\)"),
    (nothing, r"1 tensors would not be read \(lora_unet_x.alpha\)"),
    (wrong_end, r"2 tensors would not be read \(.*lora_A.weight2, .*lora_B.weight2\)"),
    (halved, r"tensors lack their other half \(lora_unet_.*lora_down.weight, "),
]


@pytest.mark.parametrize(("change", "message"), NO_LORAS, ids=[change.__name__ for change, _ in NO_LORAS])
def test_what_is_no_plain_lora_is_refused_by_name(change, message, tmp_path):
    tensors = change(load_file(world.locate("lcm_lora_sd15")))
    with pytest.raises(RunError, match=f"odd.safetensors.*{message}") as caught:
        lora_names.plain(tensors, tmp_path / "odd.safetensors")
    assert caught.value.exit_code == Exit.USAGE


def test_a_refusal_says_which_lora_of_the_recipe_it_is(tmp_path):
    save_file(loha(load_file(world.locate("lcm_lora_sd15"))), tmp_path / "odd.safetensors")
    with pytest.raises(RunError, match=r"LoRA odd: .*odd.safetensors is a LoHa"):
        load("sd15", Lora(name="odd", weights=str(tmp_path / "odd.safetensors")))


def test_a_file_with_several_adapters_is_refused(tmp_path):
    save_file(halves(".default", ".style"), tmp_path / "two.safetensors")
    with pytest.raises(RunError, match="several LoRAs at once"):
        load("sd15", Lora(name="odd", weights=str(tmp_path / "two.safetensors")))


@pytest.mark.parametrize(
    ("change", "lost"),
    [
        (wrong_start, r"Target modules \{'base_model.model.*not found"),
        (
            extra,
            r"of its \d+ .*, lora_unet_nowhere_to_q.lora_down.weight, lora_unet_nowhere_to_q.lora_up.weight have none",
        ),
        (unprefixed, "lora_transformer_"),
    ],
)
def test_a_file_that_is_not_used_to_the_last_tensor_is_refused(change, lost, tmp_path):
    path = tmp_path / "odd.safetensors"
    save_file(change(load_file(world.locate("lcm_lora_sd15"))), path)
    with pytest.raises(
        RunError, match=rf"LoRA odd: .*odd.safetensors does not fit .*{lost}.*family of bases"
    ) as caught:
        load("sd15", Lora(name="odd", weights=str(path)))
    assert caught.value.exit_code == Exit.USAGE


def test_the_hubs_lcm_loras_are_not_interchangeable():
    with pytest.raises(RunError, match=r"LoRA lcm: .*works only on the family"):
        load("sdxl", lora("sd15"))


@pytest.mark.parametrize("name", ["style.bin", "style.pt", "style.ckpt"])
def test_only_safetensors_are_read(name, tmp_path):
    torch.save(load_file(world.locate("lcm_lora_sd15")), tmp_path / name)
    with pytest.raises(RunError, match=r"is not a .safetensors file; give the .safetensors file"):
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
