"""IdentityNet in its published layouts: InstantID's folder, and SDXL-EcomID's file without settings."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from idgen.errors import RunError
from idgen.networks import identity_net
from idgen.networks.identity_net import IdentityNet
from idgen.tiny import extras, sdxl


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A net as InstantID publishes it."""
    torch.set_num_threads(1)
    made = tmp_path_factory.mktemp("instantid") / "ControlNetModel"
    extras.write_controlnet(made, sdxl.UNET, "identity")
    return made


@pytest.fixture
def net(folder):
    return identity_net.load(folder, torch.float32)


@pytest.fixture
def ecomid(folder, tmp_path):
    """The same weights as SDXL-EcomID publishes them: float32, at the root, without settings."""
    root = tmp_path / "SDXL-EcomID"
    root.mkdir()
    tensors = load_file(folder / identity_net.WEIGHTS_FILE)
    save_file({name: one.float() for name, one in tensors.items()}, root / identity_net.WEIGHTS_FILE)
    return root


def test_one_file_without_settings_is_read_with_anothers(folder, ecomid, net):
    wanted = net.state_dict()
    for place in (ecomid, ecomid / identity_net.WEIGHTS_FILE):
        found = identity_net.load(place, torch.float32, config=folder)
        assert type(found) is IdentityNet
        assert dict(found.config).items() >= {"cross_attention_dim": sdxl.TEXT_WIDTH}.items()
        assert found.state_dict().keys() == wanted.keys()
        assert all(torch.equal(one, wanted[name]) for name, one in found.state_dict().items())
    half = identity_net.load(ecomid, torch.float16, config=folder)
    assert half.dtype == torch.float16


def test_diffusers_own_loaders_make_the_subclass_too(folder, ecomid):
    options = {"dtype": torch.float32, "local_files_only": True}
    file = str(ecomid / identity_net.WEIGHTS_FILE)
    assert type(IdentityNet.from_pretrained(folder, **options)) is IdentityNet
    assert type(IdentityNet.from_single_file(file, config=str(folder), **options)) is IdentityNet


def test_what_is_missing_or_does_not_fit_is_said(folder, ecomid, tmp_path):
    with pytest.raises(RunError, match="with the config of an SDXL ControlNet"):
        identity_net.load(ecomid, torch.float32)
    with pytest.raises(RunError, match="does not exist"):
        identity_net.load(tmp_path, torch.float32, config=folder)
    file = ecomid / identity_net.WEIGHTS_FILE
    tensors = load_file(file)
    shutil.copytree(folder, tmp_path / "torn")
    save_file({name: one for name, one in tensors.items() if name != "conv_in.weight"}, tmp_path / "torn" / file.name)
    with pytest.raises(RunError, match="1 weights of the net are missing, such as conv_in"):
        identity_net.load(tmp_path / "torn", torch.float32)
    save_file({name: one for name, one in tensors.items() if name != "conv_in.weight"}, file)
    with pytest.raises(RunError, match=r"1 keys missing \['conv_in.weight'\]"):
        identity_net.load(ecomid, torch.float32, config=folder)
    save_file(tensors | {"more.weight": torch.zeros(1)}, file)
    with pytest.raises(RunError, match=r"1 unknown \['more.weight'\]"):
        identity_net.load(ecomid, torch.float32, config=folder)
    save_file({"conv.weight": torch.zeros(1)}, file)
    with pytest.raises(RunError, match=r"does not have the layout .*; give an SDXL ControlNet in diffusers' layout"):
        identity_net.load(ecomid, torch.float32, config=folder)


def test_settings_of_another_width_do_not_load(folder, ecomid, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    settings = json.loads((other / identity_net.CONFIG_FILE).read_text())
    (other / identity_net.CONFIG_FILE).write_text(json.dumps(settings | {"cross_attention_dim": 32}))
    with pytest.raises(RunError, match="expected shape"):
        identity_net.load(ecomid, torch.float32, config=other)


def test_at_full_size_it_is_as_large_as_the_published_ones():
    config = {
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "block_out_channels": (320, 640, 1280),
        "transformer_layers_per_block": (1, 2, 10),
        "attention_head_dim": (5, 10, 20),
        "cross_attention_dim": 2048,
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    }
    with torch.device("meta"):
        tensors = IdentityNet.from_config(config).state_dict()
    assert (len(tensors), sum(one.numel() for one in tensors.values())) == (
        844,
        1_251_014_160,
    )
    assert tensors["controlnet_cond_embedding.conv_in.weight"].shape == (16, 3, 3, 3)
