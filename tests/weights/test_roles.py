"""Weights are known by their content, role by role."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path
from subprocess import run

import pytest
from doubles.tiny_recipe import TINY

from idgen import weights
from idgen.errors import Exit, RunError
from idgen.recipes.recipe import AdapterSpec, Base, Control, FacePack, Lora


def test_each_role_has_a_hash_and_the_same_files_elsewhere_have_the_same(recipe, tmp_path):
    first = weights.identity(recipe, cache=None)
    assert first.keys() == {"base", "adapter:a", "face_pack"}
    assert all(len(digest) == 64 for digest in first.values())
    shutil.copytree(tmp_path / "base", tmp_path / "moved")
    moved = replace(recipe, base=Base(weights=str(tmp_path / "moved")))
    assert weights.identity(moved, cache=None) == first


@pytest.mark.parametrize(
    ("file", "role"),
    [
        ("base/unet/diffusion_pytorch_model.safetensors", "base"),
        ("base/unet/config.json", "base"),
        ("base/vae/diffusion_pytorch_model.bin", "base"),
        ("base/tokenizer/vocab.json", "base"),
        ("adapter.bin", "adapter:a"),
        ("pack/det.onnx", "face_pack"),
    ],
)
def test_every_file_that_is_loaded_counts(recipe, tmp_path, file, role):
    before = weights.identity(recipe, cache=None)
    (tmp_path / file).write_text("changed")
    after = weights.identity(recipe, cache=None)
    assert {name for name in before if before[name] != after[name]} == {role}


@pytest.mark.parametrize(
    "file",
    [
        "base/safety_checker/model.safetensors",
        "base/notes.md",
        "base/unet/diffusion_pytorch_model.bin",
        "base/unet/diffusion_pytorch_model.fp16.safetensors",
        "base/unet/diffusion_pytorch_model.non_ema.safetensors",
        "base/unet/diffusion_pytorch_model.safetensors.index.json",
        "base/vae/openvino_model.bin",
        "pack/genderage.onnx",
    ],
)
def test_files_that_are_never_loaded_do_not_count(recipe, tmp_path, file):
    before = weights.identity(recipe, cache=None)
    (tmp_path / file).write_text("another")
    assert weights.identity(recipe, cache=None) == before


def test_another_vae_takes_the_place_of_the_bases_own(recipe, tmp_path):
    shutil.copytree(tmp_path / "base" / "vae", tmp_path / "vae")
    other = replace(recipe, base=replace(recipe.base, vae=str(tmp_path / "vae")))
    before = weights.identity(other, cache=None)
    (tmp_path / "base/vae/diffusion_pytorch_model.bin").write_text("not loaded now")
    assert weights.identity(other, cache=None) == before
    (tmp_path / "vae/diffusion_pytorch_model.bin").write_text("changed")
    assert weights.identity(other, cache=None)["vae"] != before["vae"]


def test_a_pinned_hash_must_fit(recipe):
    found = weights.identity(recipe, cache=None)["adapter:a"]
    (spec,) = recipe.adapters
    weights.identity(replace(recipe, adapters=[replace(spec, sha256=found.upper())]), cache=None)
    with pytest.raises(RunError, match="pins") as caught:
        weights.identity(replace(recipe, adapters=[replace(spec, sha256="0" * 64)]), cache=None)
    assert caught.value.exit_code == Exit.USAGE


def test_a_folder_that_is_no_base_and_a_pack_without_networks_are_refused(recipe, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match="no unet folder"):
        weights.identity(replace(recipe, base=Base(weights=str(tmp_path / "empty"))), cache=None)
    with pytest.raises(RunError, match=r"no \.onnx"):
        weights.identity(replace(recipe, face_pack=FacePack(weights=str(tmp_path / "empty"))), cache=None)


def test_the_tiny_recipe_has_an_identity_without_torch():
    weights.identity(TINY, cache=None)  # makes the world
    code = (
        "import sys; sys.path.insert(0, 'tests'); from idgen import weights; from idgen.recipes.recipe import *;"
        "r = Recipe(base=Base(weights='tiny:sd15'), adapters=[AdapterSpec(name='f', weights='tiny:faceid_sd15')],"
        " face_pack=FacePack(weights='tiny:facepack'));"
        "print(len(weights.identity(r, cache=None))); sys.exit('torch' in sys.modules)"
    )
    done = run([sys.executable, "-c", code], check=False, capture_output=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == b"3"


def test_an_identity_of_yesterday_is_the_same_today(recipe):
    """Pinned: if this fails, every key of every catalogue changes."""
    assert {role: digest[:16] for role, digest in weights.identity(recipe, cache=None).items()} == {
        "base": "2a7c8d352a75c0ea",
        "adapter:a": "ae1eae1d76e5b7c8",
        "face_pack": "98c00d9b07d44f94",
    }
    other = replace(recipe, base=replace(recipe.base, vae=f"{recipe.base.weights}/vae"))
    found = weights.model_identity(other, cache=None)
    assert (found["base"][:16], found["vae"][:16]) == ("7a4f097247f74481", "cd827f1e69c02c0f")


@pytest.fixture
def everything(recipe, tmp_path):
    """A recipe with every role there is."""
    for name in ("unet.safetensors", "vae.safetensors", "lora.safetensors", "clip/config.json",
                 "clip/model.safetensors", "clip/preprocessor_config.json", "net/config.json",
                 "net/diffusion_pytorch_model.fp16.safetensors", "base/vae/config.json"):  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    base = replace(
        recipe.base, unet=str(tmp_path / "unet.safetensors"), vae=str(tmp_path / "vae.safetensors"),
        loras=[Lora(name="lcm", weights=str(tmp_path / "lora.safetensors"))],
    )  # fmt: skip
    adapter = replace(recipe.adapters[0], kind="faceid_plusv2", image_encoder=str(tmp_path / "clip"))
    controls = [Control(name="pose", weights=str(tmp_path / "net"))]
    return replace(recipe, base=base, adapters=[adapter], controls=controls)


@pytest.mark.parametrize(
    ("file", "role"),
    [
        ("unet.safetensors", "unet"),
        ("base/unet/config.json", "base"),
        ("base/unet/diffusion_pytorch_model.safetensors", None),
        ("vae.safetensors", "vae"),
        ("base/vae/config.json", "vae"),
        ("base/vae/diffusion_pytorch_model.bin", None),
        ("lora.safetensors", "lora:lcm"),
        ("adapter.bin", "adapter:a"),
        ("clip/config.json", "image_encoder:a"),
        ("clip/model.safetensors", "image_encoder:a"),
        ("clip/preprocessor_config.json", None),
        ("net/config.json", "control:pose"),
        ("net/diffusion_pytorch_model.fp16.safetensors", "control:pose"),
        ("pack/det.onnx", "face_pack"),
    ],
)
def test_each_file_counts_in_the_role_that_loads_it(everything, tmp_path, file, role):
    before = weights.identity(everything, cache=None)
    assert len(before) == 8
    (tmp_path / file).write_text("changed")
    after = weights.identity(everything, cache=None)
    assert {name for name in before if before[name] != after[name]} == ({role} if role else set())


def test_a_base_in_one_file_is_known_by_it_and_its_settings(recipe, tmp_path):
    (tmp_path / "one.safetensors").write_text("all in one")
    single = replace(recipe, base=Base(weights=str(tmp_path / "one.safetensors"), config=recipe.base.weights))
    before = weights.model_identity(single, cache=None)
    assert before.keys() == {"base", "adapter:a"}
    for file, counts in (("one.safetensors", True), ("base/tokenizer/vocab.json", True),
                         ("base/unet/diffusion_pytorch_model.safetensors", False)):  # fmt: skip
        (tmp_path / file).write_text(f"changed {file}")
        after = weights.model_identity(single, cache=None)
        assert (after != before) == counts, file
        before = after
    with pytest.raises(RunError, match=r"needs base\.config"):
        weights.identity(replace(single, base=replace(single.base, config="")), cache=None)


@pytest.mark.parametrize(
    ("kind", "needed"), [("ip_adapter", False), ("ip_adapter_plus_face", True), ("faceid_portrait", True)]
)
def test_a_face_pack_is_asked_for_only_where_faces_are_looked_for(recipe, kind, needed):
    other = replace(recipe, adapters=[replace(recipe.adapters[0], kind=kind)], face_pack=FacePack(weights="/gone/pack"))
    assert ("face_pack" in {part.role for part in weights.parts(other)}) == needed
    if needed:
        with pytest.raises(RunError, match=r"face_pack\.weights.*/gone/pack"):
            weights.face_pack_identity(other, cache=None)
    else:
        assert weights.face_pack_identity(other, cache=None) == {}


def test_a_pinned_lora_must_fit(everything):
    (lora,) = everything.base.loras
    pinned = replace(everything, base=replace(everything.base, loras=[replace(lora, sha256="0" * 64)]))
    with pytest.raises(RunError, match="pins 000"):
        weights.model_identity(pinned, cache=None)


def test_a_run_that_misses_weights_is_told_which_and_the_command(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    missing = replace(recipe, name="my-recipe", adapters=[AdapterSpec(name="a", weights="owner/name:some/file.bin")])
    with pytest.raises(RunError) as caught:
        weights.identity(missing, cache=None)
    assert "adapters.0.weights" in caught.value.message
    assert "owner/name:some/file.bin" in caught.value.message
    assert "`python jobs/weights.py fetch recipe=my-recipe`" in caught.value.message
