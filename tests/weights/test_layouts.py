"""A file is what its recipe says, seen from names and shapes alone."""

import json
import pickle
import shutil
from dataclasses import replace

import pytest
import torch
from doubles.tiny_recipe import TINY, adapter, control, lora, recipe
from safetensors.torch import load_file, save_file

from idgen import weights
from idgen.errors import Exit, RunError
from idgen.tiny.files import ADAPTERS
from idgen.weights.headers import shapes_of
from idgen.weights.layouts import check_layout
from idgen.weights.locations import locate


def verdicts(made):
    return {part.role: check_layout(part, made) for part in weights.parts(made)}


@pytest.mark.parametrize("name", sorted(ADAPTERS))
def test_every_file_of_the_family_is_what_its_recipe_says(name):
    made = recipe(name)
    found = verdicts(made)
    assert found[f"adapter:{made.adapters[0].name}"].startswith(made.adapters[0].kind)


@pytest.mark.parametrize(
    ("file", "declared"),
    [
        ("faceid_sd15", "faceid_plus"), ("faceid_plus_sd15", "faceid"), ("faceid_sd15", "faceid_portrait"),
        ("faceid_portrait_sd15", "faceid"), ("ip_adapter_sd15", "ip_adapter_plus"),
        ("ip_adapter_plus_sd15", "ip_adapter"), ("ip_adapter_full_face_sd15", "ip_adapter_plus_face"),
        ("faceid_portrait_sdxl_unnorm", "faceid_portrait"), ("ip_adapter_plus_sdxl_vit_h", "faceid_portrait_unnorm"),
        ("kolors_faceid_plus", "faceid_plusv2"), ("kolors_faceid_plus", "kolors_ip_adapter_plus"),
        ("kolors_ip_adapter_plus", "kolors_faceid_plus"), ("faceid_plusv2_sdxl", "kolors_faceid_plus"),
    ],
)  # fmt: skip
def test_a_file_of_another_kind_is_refused(file, declared):
    made = recipe(file)
    wrong = replace(made, adapters=[replace(made.adapters[0], name="x", kind=declared)])
    with pytest.raises(RunError, match=f"is not {declared}|takes features"):
        verdicts(wrong)


@pytest.mark.parametrize(
    ("file", "gone"),
    [
        ("faceid_sd15", ["proj.0.weight"]), ("faceid_portrait_sd15", ["proj.0.weight"]),
        ("ip_adapter_plus_sd15", ["proj_in.weight"]), ("ip_adapter_full_face_sd15", ["proj.0.weight"]),
        ("faceid_plus_sd15", ["perceiver_resampler.proj_in.weight"]), ("ip_adapter_sd15", ["proj.weight"]),
    ],
)  # fmt: skip
def test_an_adapter_that_lacks_the_tensor_that_reads_is_refused_like_one_of_another_kind(tmp_path, file, gone):
    made = recipe(file)
    weights_of = torch.load(locate(made.adapters[0].weights)) if ADAPTERS[file].file.endswith(".bin") else None
    if weights_of is None:
        weights_of = load_file(locate(made.adapters[0].weights))
    else:
        weights_of = {f"{table}.{name}": t for table, inside in weights_of.items() for name, t in inside.items()}
    left = {name: tensor for name, tensor in weights_of.items() if name.removeprefix("image_proj.") not in gone}
    assert len(left) == len(weights_of) - len(gone)
    save_file(left, tmp_path / "cut.safetensors")
    cut = replace(made, adapters=[replace(made.adapters[0], weights=str(tmp_path / "cut.safetensors"))])
    with pytest.raises(RunError, match=f"is not {made.adapters[0].kind}: ") as caught:
        verdicts(cut)
    assert caught.value.exit_code == Exit.USAGE


@pytest.mark.parametrize(
    ("file", "encoder"),
    [("ip_adapter_sdxl", "clip_vit_h"), ("ip_adapter_sdxl_vit_h", "clip_vit_bigg"), ("ip_adapter_plus_sd15",
      "clip_vit_bigg"), ("ip_adapter_sd15_vit_g", "clip_vit_h"), ("faceid_plusv2_sdxl", "clip_vit_bigg")],
)  # fmt: skip
def test_the_wrong_image_encoder_is_named(file, encoder):
    made = recipe(file)
    wrong = replace(made, adapters=[replace(made.adapters[0], image_encoder=f"tiny:{encoder}")])
    with pytest.raises(RunError, match=f"takes features .* but tiny:{encoder} gives"):
        verdicts(wrong)


def test_an_encoder_of_another_side_is_refused_although_it_is_as_wide(tmp_path):
    made = recipe("kolors_faceid_plus")
    copy = shutil.copytree(locate(made.adapters[0].image_encoder), tmp_path / "clip")
    settings = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(settings | {"image_size": 224}))
    wrong = replace(made, adapters=[replace(made.adapters[0], image_encoder=str(copy))])
    with pytest.raises(RunError, match="is an encoder of 224 px, but kolors_faceid_plus needs one of 336 px"):
        verdicts(wrong)


@pytest.mark.parametrize("table", ["image_proj", "adapter_modules"])
def test_kolors_tokens_are_compared_with_both_widths_of_its_text(tmp_path, table):
    made = recipe("kolors_faceid_plus")
    state = torch.load(locate(made.adapters[0].weights), weights_only=True)
    narrow = {name: part[..., :-8] if part.ndim < 3 else part for name, part in state[table].items()}
    torch.save(state | {table: narrow}, tmp_path / "narrow.bin")
    wrong = replace(made, adapters=[replace(made.adapters[0], weights=str(tmp_path / "narrow.bin"))])
    with pytest.raises(RunError, match="made for a base with text"):
        verdicts(wrong)


def test_an_adapter_of_the_other_family_is_refused():
    made = replace(TINY, adapters=[replace(adapter("faceid_sdxl"), name="faceid")])
    with pytest.raises(RunError, match="made for a base with text"):
        verdicts(made)


def test_loras_unets_and_controls_are_told_apart():
    made = replace(TINY, base=replace(TINY.base, loras=[lora()]), controls=[control()])
    assert "LoRA" in verdicts(made)["lora:lcm"]
    swapped = replace(made, base=replace(made.base, loras=[replace(lora(), weights="tiny:sdxl_lightning_unet")]))
    with pytest.raises(RunError, match="is not a LoRA"):
        verdicts(swapped)
    with pytest.raises(RunError, match="is not a UNet"):
        verdicts(replace(TINY, base=replace(TINY.base, unet=lora().weights)))
    with pytest.raises(RunError, match="is not a ControlNet"):
        verdicts(replace(TINY, controls=[replace(control(), weights="tiny:clip_vit_h")]))


def test_shapes_are_the_same_from_both_formats_and_nothing_runs(tmp_path):
    nested = {"image_proj": {"norm.weight": torch.zeros(3)}, "ip_adapter": {"1.to_k_ip.weight": torch.zeros(2, 4)}}
    torch.save(nested, tmp_path / "a.bin")
    torch.save(nested, tmp_path / "old.bin", _use_new_zipfile_serialization=False)
    flat = {f"{table}.{name}": tensor for table, part in nested.items() for name, tensor in part.items()}
    save_file(flat, tmp_path / "a.safetensors")
    wanted = {"image_proj.norm.weight": (3,), "ip_adapter.1.to_k_ip.weight": (2, 4)}
    assert shapes_of(tmp_path / "a.bin") == shapes_of(tmp_path / "old.bin") == wanted
    assert shapes_of(tmp_path / "a.safetensors") == wanted

    class Evil:
        def __reduce__(self):
            return open, (str(tmp_path / "ran"), "w")

    (tmp_path / "evil.bin").write_bytes(pickle.dumps({"a": Evil()}))
    with pytest.raises(RunError, match="tries to run code"):
        shapes_of(tmp_path / "evil.bin")
    assert not (tmp_path / "ran").exists()


def test_a_file_that_was_cut_off_is_noticed(tmp_path):
    save_file({"a": torch.zeros(1000)}, tmp_path / "a.safetensors")
    body = (tmp_path / "a.safetensors").read_bytes()
    for length, message in ((len(body) - 1, "cut off"), (40, "not a valid|cannot be read"), (3, "cannot be read")):
        (tmp_path / "a.safetensors").write_bytes(body[:length])
        with pytest.raises(RunError, match=message):
            shapes_of(tmp_path / "a.safetensors")
