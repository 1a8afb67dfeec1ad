"""Weights are found without a network."""

import subprocess
import sys
from pathlib import Path

import pytest

from idgen import weights
from idgen.errors import Exit, RunError
from idgen.weights import locations
from idgen.weights.locations import HubPlace, hub_place


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
        ("owner/gone", r"owner/gone.*hub cache.*overrides\.<name>\.base\.weights="),
        ("owner/gone:file.bin", r"file\.bin.*`python jobs/weights\.py fetch recipe=<name>`"),
        ("gone_pack", r"face pack.*`python jobs/weights\.py fetch recipe=<name>`"),
        ("owner/../x:y", "do not exist"),
        ("owner/name:../../x", "do not exist"),
        ("tiny:gone", "there are sd15,.* facepack"),
        ("drawn:gone", "no drawn:gone; there are sd15, sdxl"),
    ],
)
def test_what_is_missing_is_named_with_what_to_do(location, message, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(RunError, match=message) as caught:
        weights.locate(location)
    assert caught.value.exit_code == Exit.USAGE


def hub_cache(root, repository, commit, *names):
    """A snapshot in the hub cache's layout, as its library leaves it."""
    storage = root / f"models--{repository.replace('/', '--')}"
    for name in names:
        (storage / "snapshots" / commit / name).parent.mkdir(parents=True, exist_ok=True)
        (storage / "snapshots" / commit / name).write_text(f"{commit} {name}")
    (storage / "refs").mkdir(exist_ok=True)
    (storage / "refs" / "main").write_text(commit)


def test_a_folder_inside_a_repository_is_found_at_its_revision(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    hub_cache(tmp_path, "h/IP", "a" * 40, "models/image_encoder/config.json", "models/x.bin")
    hub_cache(tmp_path, "h/IP", "b" * 40, "models/x.bin")
    assert weights.locate("h/IP:models/x.bin").read_text() == f"{'b' * 40} models/x.bin"
    assert (weights.locate("h/IP:models/image_encoder", "a" * 40) / "config.json").is_file()
    with pytest.raises(RunError, match="h/IP:models/image_encoder"):
        weights.locate("h/IP:models/image_encoder")  # main moved on, and only one file of it was fetched
    with pytest.raises(RunError, match="at revision v2"):
        weights.locate("h/IP:models/x.bin", "v2")


def test_a_path_that_exists_is_never_a_hub_id(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert hub_place("models/base") == HubPlace("models/base", "")
    (tmp_path / "models" / "base").mkdir(parents=True)
    assert hub_place("models/base") is None
    assert weights.locate("models/base") == tmp_path / "models" / "base"


@pytest.mark.parametrize(
    "location", ["tiny:sd15", "drawn:sd15", "/a/b", "./a/b", "~/a/b", "buffalo_l", "a/b:../c", "file:///a/b"]
)
def test_what_is_no_hub_id(location):
    assert hub_place(location) is None


@pytest.mark.parametrize("inside", ["", "antelopev2", "antelopev2/antelopev2"])
def test_a_face_pack_unpacked_by_hand_is_found_in_the_folder_its_archive_has(tmp_path, monkeypatch, inside):
    monkeypatch.setenv("HOME", str(tmp_path))
    pack = tmp_path / ".insightface" / "models" / "antelopev2"
    (pack / inside).mkdir(parents=True)
    (pack / inside / "glintr100.onnx").touch()
    assert weights.locate("antelopev2") == weights.locate(str(pack)) == pack / inside


def test_other_folders_are_taken_as_they_are(tmp_path):
    (tmp_path / "base" / "base").mkdir(parents=True)
    (tmp_path / "base" / "base" / "model.safetensors").touch()
    assert weights.locate(str(tmp_path / "base")) == tmp_path / "base"


def test_a_scheme_is_found_by_the_module_that_it_names_imported_when_it_is_asked_for(tmp_path, monkeypatch):
    (tmp_path / "shop_weights.py").write_text(
        "from pathlib import Path\ndef locate(name):\n    return Path('/w') / name\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(locations.SCHEMES, "shop", "shop_weights")
    assert hub_place("shop:base") is None
    assert "shop_weights" not in sys.modules
    assert weights.locate("shop:base") == Path("/w/base")


def test_the_room_does_not_import_the_demos_worlds():
    code = "import sys, idgen.weights.locations; print([name for name in sys.modules if name.startswith('idgen.tiny')])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
