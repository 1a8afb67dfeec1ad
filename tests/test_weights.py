"""Weights are found without a network, and known by their content."""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from subprocess import run

import pytest
from doubles.tiny_recipe import TINY

from idgen import weights
from idgen.errors import Exit, RunError
from idgen.recipes import AdapterSpec, Base, FacePack, Recipe


@pytest.fixture
def recipe(tmp_path) -> Recipe:
    """A base, an adapter and a face pack of a few bytes each, where the names are right and the content is not."""
    for name in ("unet/diffusion_pytorch_model.safetensors", "unet/config.json", "vae/diffusion_pytorch_model.bin",
                 "tokenizer/vocab.json", "safety_checker/model.safetensors", "notes.md"):  # fmt: skip
        (tmp_path / "base" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "base" / name).write_text(name)
    (tmp_path / "adapter.bin").write_text("adapter")
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "det.onnx").write_text("det")
    return Recipe(
        name="r",
        base=Base(weights=str(tmp_path / "base")),
        adapters=[AdapterSpec(name="a", weights=str(tmp_path / "adapter.bin"))],
        face_pack=FacePack(weights=str(tmp_path / "pack")),
    )


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


@pytest.mark.parametrize(
    ("there", "variant", "loaded"),
    [
        ("diffusion_pytorch_model.fp16.safetensors diffusion_pytorch_model.safetensors", None, [1]),
        ("diffusion_pytorch_model.fp16.safetensors diffusion_pytorch_model.safetensors", "fp16", [0]),
        ("model.safetensors pytorch_model.bin", "fp16", [0]),
        ("pytorch_model.bin model.non_ema.safetensors", None, [0]),
        ("model-00001-of-00002.safetensors model-00002-of-00002.safetensors model.bin", None, [0, 1]),
        ("model.fp16-00001-of-00001.safetensors model-00001-of-00001.fp16.safetensors", "fp16", [1, 0]),
        ("model.fp16.non_ema.safetensors openvino_model.bin", "fp16", []),
    ],
)
def test_one_form_of_the_weights_is_loaded(tmp_path, there, variant, loaded):
    names = there.split()
    for name in names:
        (tmp_path / name).touch()
    assert [path.name for path in weights.weight_files(tmp_path, variant)] == [names[i] for i in loaded]


def test_another_vae_takes_the_place_of_the_bases_own(recipe, tmp_path):
    shutil.copytree(tmp_path / "base" / "vae", tmp_path / "vae")
    other = replace(recipe, base=replace(recipe.base, vae=str(tmp_path / "vae")))
    before = weights.identity(other, cache=None)
    (tmp_path / "base/vae/diffusion_pytorch_model.bin").write_text("not loaded now")
    assert weights.identity(other, cache=None) == before
    (tmp_path / "vae/diffusion_pytorch_model.bin").write_text("changed")
    assert weights.identity(other, cache=None)["vae"] != before["vae"]


def test_the_cache_spares_reading_and_notices_changes(recipe, tmp_path):
    cache = tmp_path / "deep" / "sha256.json"
    first = weights.identity(recipe, cache=cache)
    entries = json.loads(cache.read_text())
    path = str((tmp_path / "adapter.bin").resolve())
    entries[path][2] = "f" * 64
    cache.write_text(json.dumps(entries))
    assert weights.identity(recipe, cache=cache)["adapter:a"] == "f" * 64  # believed: not read again
    (tmp_path / "adapter.bin").write_text("other content")
    assert weights.identity(recipe, cache=cache)["adapter:a"] != first["adapter:a"]
    cache.write_text("{ damaged")
    assert weights.identity(recipe, cache=cache)["base"] == first["base"]
    assert [path.name for path in cache.parent.iterdir()] == ["sha256.json"]


@pytest.mark.parametrize("broken", ["no folder can be made", "no file can be renamed", "it is a list", "unreadable"])
def test_a_home_that_cannot_be_written_or_read_costs_hashing_again_only(recipe, tmp_path, broken, caplog, monkeypatch):
    cache = tmp_path / "home" / "hashes.json"
    if broken == "no folder can be made":
        (tmp_path / "home").write_text("a file, where the folder should be")
    elif broken == "no file can be renamed":
        monkeypatch.setattr("os.replace", lambda source, target: (_ for _ in ()).throw(OSError("disk full")))
    elif broken == "it is a list":
        cache.parent.mkdir()
        cache.write_text("[1]")
    else:
        cache.mkdir(parents=True)
    assert weights.identity(recipe, cache=cache) == weights.identity(recipe, cache=None)
    assert ("not remembered" in caplog.text) == (broken != "it is a list")
    if cache.parent.is_dir():
        assert [path.name for path in cache.parent.iterdir() if path != cache] == []


def test_a_pinned_hash_must_fit(recipe):
    found = weights.identity(recipe, cache=None)["adapter:a"]
    (spec,) = recipe.adapters
    weights.identity(replace(recipe, adapters=[replace(spec, sha256=found.upper())]), cache=None)
    with pytest.raises(RunError, match="pins") as caught:
        weights.identity(replace(recipe, adapters=[replace(spec, sha256="0" * 64)]), cache=None)
    assert caught.value.exit_code == Exit.USAGE


def test_hub_ids_are_found_in_the_local_cache(tmp_path, monkeypatch):
    commit = "a" * 40
    repository = tmp_path / "models--owner--name"
    (repository / "snapshots" / commit / "unet").mkdir(parents=True)
    (repository / "snapshots" / commit / "file.bin").write_text("x")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert weights.locate("owner/name:file.bin").read_text() == "x"
    assert (weights.locate("owner/name") / "unet").is_dir()
    assert weights.locate("owner/name", commit).name == commit


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("", "names no weights"),
        ("/gone/file.bin", "do not exist"),
        ("owner/gone", r"owner/gone.*hub cache.*overrides\.<recipe>\.base\.weights="),
        ("owner/gone:file.bin", "fetch file.bin"),
        ("gone_pack", "face pack"),
        ("tiny:gone", "there are sd15, faceid_sd15, facepack"),
    ],
)
def test_what_is_missing_is_named_with_what_to_do(location, message, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(RunError, match=message) as caught:
        weights.locate(location)
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
        "import sys; sys.path.insert(0, 'tests'); from idgen import weights; from idgen.recipes import *;"
        "r = Recipe(base=Base(weights='tiny:sd15'), adapters=[AdapterSpec(name='f', weights='tiny:faceid_sd15')],"
        " face_pack=FacePack(weights='tiny:facepack'));"
        "print(len(weights.identity(r, cache=None))); sys.exit('torch' in sys.modules)"
    )
    done = run([sys.executable, "-c", code], check=False, capture_output=True, cwd=Path(__file__).parents[1])
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == b"3"
