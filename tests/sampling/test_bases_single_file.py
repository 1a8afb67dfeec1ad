"""A base in one file of the original layout is the base in its folder; nothing is fetched for it, nothing unpickled."""

import pickle
import shutil
import socket

import huggingface_hub
import pytest
import torch
from doubles import original_layout
from safetensors.torch import load_file, save_file

from idgen.errors import Exit, RunError
from idgen.recipes.recipe import Base
from idgen.sampling import bases
from idgen.tiny import world

KINDS = ["sd15", "sdxl"]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Both families' tiny bases as single files."""
    folder = tmp_path_factory.mktemp("single")
    return {kind: original_layout.write(world.locate(kind), folder / f"{kind}.safetensors") for kind in KINDS}


@pytest.fixture
def settings(tmp_path):
    """Folders with settings and vocabularies alone, as they are enough."""
    for kind in KINDS:
        shutil.copytree(world.locate(kind), tmp_path / kind, ignore=shutil.ignore_patterns("*.safetensors"))
    return {kind: str(tmp_path / kind) for kind in KINDS}


@pytest.fixture
def calls(monkeypatch):
    """Every connection or look-up that is tried; all fail."""
    tried = []

    def refuse(*args, **_kwargs):
        tried.append(args)
        raise OSError("there is no network here")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    return tried


def load(kind, file, config, **changes):
    return bases.load(Base(kind=kind, weights=str(file), config=config, **{"dtype": "float32", **changes}))


@pytest.mark.parametrize("kind", KINDS)
def test_every_weight_and_setting_is_the_folders(kind, files, settings):
    ours, plain = (
        load(kind, files[kind], settings[kind]).pipeline,
        bases.load(Base(kind=kind, weights=f"tiny:{kind}", dtype="float32")).pipeline,
    )
    assert type(ours) is type(plain)
    assert ours.components.keys() == plain.components.keys()
    assert ours.scheduler.config == plain.scheduler.config
    for name, part in plain.components.items():
        if isinstance(part, torch.nn.Module):
            same, other = part.state_dict(), ours.components[name].state_dict()
            assert same.keys() == other.keys()
            assert all(torch.equal(same[key], other[key]) for key in same), name
            assert part.dtype == ours.components[name].dtype
        if name.startswith("tokenizer"):
            assert part("a woman, neon").input_ids == ours.components[name]("a woman, neon").input_ids


@pytest.mark.parametrize("kind", KINDS)
def test_no_connection_is_tried(kind, files, settings, calls):
    base = load(kind, files[kind], settings[kind])
    base.encode("a cat")
    assert calls == []
    with pytest.raises(Exception, match=r".*"):  # the trap works: a fetch would have been seen
        huggingface_hub.model_info("someone/something")
    assert calls


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_folder_for_settings_it_says_what_to_give_and_fetches_nothing(kind, files, calls):
    with pytest.raises(RunError, match=rf"single file.*base.config=<a folder.*{kind}") as caught:
        load(kind, files[kind], "")
    assert caught.value.exit_code == Exit.USAGE
    assert calls == []


def test_a_config_that_is_no_folder_of_a_base_is_refused(files, tmp_path):
    with pytest.raises(RunError, match=r"no model_index.json"):
        load("sd15", files["sd15"], str(tmp_path))


@pytest.mark.parametrize(("kind", "other"), [("sd15", "sdxl"), ("sdxl", "sd15")])
def test_a_file_of_another_family_is_refused_with_a_hint(kind, other, files, settings):
    with pytest.raises(RunError, match=r"not a complete base of this family.*base.kind and base.config"):
        load(kind, files[other], settings[kind])


@pytest.mark.parametrize(("kind", "other"), [("sd15", "sdxl"), ("sdxl", "sd15")])
def test_settings_of_another_family_are_refused(kind, other, files, settings):
    with pytest.raises(RunError, match=r"cannot be read as a UNet for a base like"):
        load(kind, files[kind], settings[other])


@pytest.mark.parametrize(
    ("lacking", "message"),
    [
        ("cond_stage_model.", r"no tensors cond_stage_model.*base.unet"),
        ("first_stage_model.", r"has no VAE; give base.vae"),
        ("model.diffusion_model.out.", r"UNet .*missing \(conv_norm_out.bias, "),
        ("first_stage_model.decoder.conv_in.", r"VAE .*missing \(decoder.conv_in.bias, "),
        ("cond_stage_model.transformer.text_model.final", r"missing"),
    ],
)
def test_a_file_that_lacks_a_part_is_refused_though_the_folder_has_it(lacking, message, files, tmp_path):
    kept = {name: tensor for name, tensor in load_file(files["sd15"]).items() if not name.startswith(lacking)}
    save_file(kept, tmp_path / "less.safetensors")
    with pytest.raises(RunError, match=message):
        load("sd15", tmp_path / "less.safetensors", "tiny:sd15")


@pytest.mark.parametrize("name", ["base.ckpt", "base.safetensors", "base.pt"])
def test_a_pickle_is_never_opened(name, tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    (tmp_path / name).write_bytes(pickle.dumps({"state_dict": Bomb()}))
    with pytest.raises(RunError, match=r"pickle|not a valid .safetensors"):
        load("sd15", tmp_path / name, "tiny:sd15")
    assert not (tmp_path / "ran").exists()
