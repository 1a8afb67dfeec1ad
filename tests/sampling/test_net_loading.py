"""ControlNets are read in their published layouts, and those that cannot work beside the base are refused."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from diffusers import ControlNetModel
from doubles.tiny_ecomid import BUCKET, ECOMID, ROWS
from doubles.tiny_recipe import TINY, control, ecomxl, identity_net, recipe
from safetensors.torch import load_file, save_file

from idgen.errors import Exit, RunError
from idgen.networks import checkpoints
from idgen.networks.identity_net import IdentityNet
from idgen.recipes.recipe import Control
from idgen.sampling import controls
from idgen.sampling.sampler import Sampler
from idgen.tiny import world

CPU = torch.device("cpu")


def load(*specs: Control):
    return controls.load(specs, torch.float32, CPU)


def refused(made, **changes) -> str:
    with pytest.raises(RunError) as caught:
        Sampler.load(replace(made, **changes), lora_scale=1.0, device="cpu")
    assert caught.value.exit_code == Exit.USAGE
    return caught.value.message


def test_identity_and_nets_with_face_context_are_identity_nets_and_others_are_stock():
    nets = load(identity_net("ecomid"), ecomxl("inpaint", context="face"), ecomxl("softedge"))
    kinds = {name: type(net) for name, net in nets.items()}
    assert kinds == {"identity": IdentityNet, "inpaint": IdentityNet, "softedge": ControlNetModel}
    assert type(load(identity_net("instantid"))["identity"]) is IdentityNet
    for net in nets.values():
        assert not net.training
        assert not any(one.requires_grad for one in net.parameters())


@pytest.fixture
def renamed(tmp_path):
    """A folder whose weights are there in the variant fp16 alone."""

    def copy(name):
        folder = tmp_path / name
        shutil.copytree(world.locate(name), folder)
        (file,) = folder.glob("*.safetensors")
        file.rename(folder / "diffusion_pytorch_model.fp16.safetensors")
        return str(folder)

    return copy


@pytest.mark.parametrize(
    "spec", [identity_net("ecomid"), identity_net("instantid"), ecomxl("inpaint"), ecomxl("softedge", context="face")]
)
def test_folders_of_the_variant_fp16_are_read(spec, renamed):
    name = spec.weights.removeprefix("tiny:")
    (found,) = load(replace(spec, weights=renamed(name))).values()
    (wanted,) = load(spec).values()
    assert all(torch.equal(one, wanted.state_dict()[name]) for name, one in found.state_dict().items())


def test_ecomids_net_is_read_as_a_file_too():
    spec = identity_net("ecomid")
    (file,) = world.locate("ecomid_net").glob("*.safetensors")
    (net,) = load(replace(spec, weights=str(file))).values()
    assert type(net) is IdentityNet


def test_ecomids_net_without_anothers_settings_says_where_there_are_some():
    assert "InstantX/InstantID:ControlNetModel" in refused(ECOMID, controls=[replace(identity_net(), config="")])


def test_an_identity_net_needs_one_adapter_that_gives_a_context():
    words = refused(ECOMID, adapters=[])
    assert words.startswith(
        "control identity reads the face tokens, but 0 adapters give some: use exactly one adapter of kind"
    )
    twice = [replace(ECOMID.adapters[0], name=name) for name in ("one", "other")]
    assert "2 adapters give some" in refused(ECOMID, adapters=twice)


def test_an_identity_net_of_sd15_beside_sdxl_is_said():
    spec = Control(name="identity", weights=control("sd15").weights)
    assert refused(ECOMID, controls=[spec]).startswith("control identity was made for text")


def test_a_net_of_sdxls_width_that_is_none_of_sdxls_is_said(tmp_path):
    without = edited(tmp_path, "control_softedge", addition_embed_type=None)
    assert "is not an SDXL ControlNet: use" in refused(ECOMID, controls=[Control(name="identity", weights=without)])


def test_a_net_that_pools_its_residuals_is_refused(tmp_path):
    pooled = edited(tmp_path, "control_sd15", global_pool_conditions=True)
    words = refused(TINY, controls=[Control(name="pose", weights=pooled)])
    assert words.startswith("control pose pools its residuals")


def edited(folder, name, **settings) -> str:
    """A copy of a tiny net with other settings, and the weights that they ask for."""
    copy = folder / name
    shutil.copytree(world.locate(name), copy)
    config = copy / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), **settings}))
    (file,) = copy.glob("*.safetensors")
    wanted = ControlNetModel.from_config(ControlNetModel.load_config(copy)).state_dict().keys()
    save_file({key: one for key, one in load_file(file).items() if key in wanted}, file, metadata={"format": "pt"})
    return str(copy)


def test_context_weights_of_another_width_than_the_bases_are_refused_when_they_are_loaded():
    (adapter,) = Sampler.load(recipe("ecomid"), lora_scale=1.0, device="cpu").adapters
    weights = checkpoints.read(world.locate("instantid"))
    narrow = {
        name: one[:-1] if name.startswith(("image_proj.proj_out", "image_proj.norm_out")) else one
        for name, one in weights.items()
    }
    with pytest.raises(RunError, match=r"ip-adapter.bin: image_proj makes 127-wide tokens"):
        adapter.fit_context(narrow, "ip-adapter.bin")


def test_a_context_that_is_not_as_wide_as_the_net_reads_is_refused_before_the_first_step():
    sampler = Sampler.load(recipe("ecomid"), lora_scale=1.0, device="cpu")
    bucket = replace(BUCKET, controls=BUCKET.controls[:1])
    conditions = sampler.condition(ROWS[:1], bucket)
    with pytest.raises(RuntimeError, match="reads a context 128 wide, but was given one 127 wide"):
        sampler.denoise(replace(conditions, context=conditions.context[..., 1:]), bucket)
    with pytest.raises(RuntimeError, match="control identity reads the face tokens, but no adapter gave any"):
        sampler.denoise(replace(conditions, context=None), bucket)


def copied(tmp_path, settings=(), tensors=()):
    """SD 1.5's tiny net with other settings and further tensors."""
    folder = shutil.copytree(world.locate(control("sd15").weights.removeprefix("tiny:")), tmp_path / "net")
    (file,) = folder.glob("*.safetensors")
    save_file({**load_file(file), **dict(tensors)}, file, {"format": "pt"})
    config = folder / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), **dict(settings)}))
    return Control(name="pose", weights=str(folder))


def test_a_union_of_controlnets_is_refused_by_name(tmp_path):
    spec = copied(tmp_path, {"_class_name": "ControlNetUnionModel", "num_control_type": 6})
    assert "net is a ControlNet Union, many nets in one" in refused(TINY, controls=[spec])


def test_tensors_that_a_net_has_no_place_for_are_refused_by_name(tmp_path):
    spec = copied(tmp_path, tensors={"more.weight": torch.zeros(6, 16), "more.bias": torch.zeros(3)})
    assert "2 tensors would not be read (more.bias, more.weight)" in refused(TINY, controls=[spec])


def test_a_union_that_calls_itself_a_controlnet_is_refused_by_its_tensors(tmp_path):
    spec = copied(tmp_path, tensors={"task_embedding": torch.zeros(6, 16), "control_add_embedding.x": torch.zeros(3)})
    assert "net is a ControlNet Union, many nets in one" in refused(TINY, controls=[spec])


def test_tensors_that_an_identity_net_has_no_place_for_are_refused_by_name(tmp_path):
    folder = shutil.copytree(world.locate("identity_net"), tmp_path / "net")
    (file,) = folder.glob("*.safetensors")
    save_file({**load_file(file), "more.bias": torch.zeros(3)}, file, {"format": "pt"})
    words = refused(recipe("instantid"), controls=[replace(identity_net("instantid"), weights=str(folder))])
    assert "1 tensors would not be read (more.bias)" in words


def test_a_net_for_six_channels_is_refused_when_it_is_loaded(tmp_path):
    file = next(world.locate(control("sd15").weights.removeprefix("tiny:")).glob("*.safetensors"))
    key = "controlnet_cond_embedding.conv_in.weight"
    spec = copied(tmp_path, {"conditioning_channels": 6}, {key: load_file(file)[key].repeat(1, 2, 1, 1)})
    assert "takes control images of 6 channels" in refused(TINY, controls=[spec])


def test_a_net_of_other_widths_is_refused_when_it_is_loaded(tmp_path):
    net = ControlNetModel.from_config({**ControlNetModel.load_config(copied(tmp_path).weights), "layers_per_block": 1})
    net.save_pretrained(tmp_path / "thin")
    spec = Control(name="pose", weights=str(tmp_path / "thin"))
    assert "has layers_per_block 1, but the base's UNet has 2" in refused(TINY, controls=[spec])
