"""Parts that cannot work together are refused by the plan and by `weights check`, before anything is loaded."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from doubles import original_layout
from doubles.tiny_recipe import TINY, control, recipe
from safetensors.torch import load_file, save_file

from idgen import weights
from idgen.driver.setup import RecipeHashes
from idgen.errors import Exit, RunError
from idgen.recipes.recipe import Control
from idgen.weights.layouts import check_layout
from idgen.weights.locations import locate

SDXL = recipe("faceid_sdxl")
BASES = {"sd15": TINY, "sdxl": SDXL}
EDM = {"_class_name": "EDMDPMSolverMultistepScheduler", "prediction_type": "epsilon", "sigma_data": 0.5}


def edited(source, target, **settings):
    """A copy of a folder whose config.json, or the scheduler's of a base, says something else."""
    shutil.copytree(locate(source) if isinstance(source, str) else source, target)
    config = target / "scheduler" / "scheduler_config.json"
    config = config if config.is_file() else target / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), **settings}))
    return str(target)


def on(made, **changes):
    return replace(made, base=replace(made.base, **changes))


def refused(made, key) -> str:
    """What the plan and the check say of the part that the recipe names at `key`."""
    with pytest.raises(RunError) as caught:
        RecipeHashes({made.name: made})[made.name]
    assert caught.value.exit_code == Exit.USAGE
    start = f"recipe {made.name}: {key}: "
    assert caught.value.message.startswith(start)
    assert "fetch" not in caught.value.message
    part = next(part for part in weights.parts(made) if part.key == key)
    with pytest.raises(RunError) as checked:
        check_layout(part, made)
    assert checked.value.message == caught.value.message.removeprefix(start)
    return checked.value.message


@pytest.mark.parametrize("kind", BASES)
def test_sound_bases_pass(kind):
    assert RecipeHashes({kind: BASES[kind]})[kind]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (EDM, r"with EDM (its scheduler is EDMDPMSolverMultistepScheduler; as Playground v2.5"),
        ({"timestep_type": "continuous", "prediction_type": "v_prediction"}, "with EDM (its scheduler is "),
        ({"prediction_type": "flow_prediction"}, "as a flow"),
        ({"use_flow_sigmas": True}, "as a flow"),
        ({"_class_name": "FlowMatchEulerDiscreteScheduler"}, "as a flow"),
        ({"prediction_type": "noise"}, "for prediction_type noise"),
        (
            {"beta_schedule": "laplace"},
            "has beta_schedule laplace; supported are linear, scaled_linear, squaredcos_cap_v2",
        ),
        (
            {"use_beta_sigmas": True, "use_exponential_sigmas": True},
            "use_exponential_sigmas and use_beta_sigmas, which",
        ),
    ],
)
@pytest.mark.parametrize("kind", BASES)
def test_schedules_that_no_scheduler_here_can_follow(kind, settings, says, tmp_path):
    folder = edited(f"tiny:{kind}", tmp_path / "base", **settings)
    assert says in refused(on(BASES[kind], weights=folder), "base.weights")


def test_the_settings_beside_a_single_file_count_as_well(tmp_path):
    folder = edited("tiny:sd15", tmp_path / "base", **EDM)
    file = original_layout.write(locate("tiny:sd15"), tmp_path / "base.safetensors")
    assert "with EDM" in refused(on(TINY, weights=str(file), config=folder), "base.config")


@pytest.mark.parametrize(("kind", "other"), [("sd15", "sdxl"), ("sdxl", "sd15")])
def test_a_vae_of_the_other_family_is_refused(kind, other, tmp_path):
    vae = str(locate(f"tiny:{other}") / "vae")
    assert "its latents belong to another family" in refused(on(BASES[kind], vae=vae), "base.vae")
    whole = original_layout.write(locate(f"tiny:{other}"), tmp_path / "whole.safetensors")
    assert "its latents belong to another family" in refused(on(BASES[kind], vae=str(whole)), "base.vae")
    mixed = shutil.copytree(locate(f"tiny:{kind}"), tmp_path / "mixed")
    shutil.rmtree(mixed / "vae")
    shutil.copytree(vae, mixed / "vae")
    assert "its latents belong to another family" in refused(on(BASES[kind], weights=str(mixed)), "base.weights")


def test_a_vae_of_sixteen_channels_is_refused(tmp_path):
    vae = edited(locate("tiny:sdxl") / "vae", tmp_path / "vae", latent_channels=16)
    assert "latents of 16 channels, but sdxl has 4" in refused(on(SDXL, vae=vae), "base.vae")


@pytest.mark.parametrize("kind", BASES)
def test_the_vae_of_the_same_family_passes_in_every_form(kind, tmp_path):
    vae = locate(f"tiny:{kind}") / "vae"
    alone = tmp_path / "alone.safetensors"
    save_file(original_layout.vae(load_file(vae / "diffusion_pytorch_model.safetensors")), alone)
    whole = original_layout.write(locate(f"tiny:{kind}"), tmp_path / "whole.safetensors")
    for place in (vae, alone, whole):
        assert RecipeHashes({kind: on(BASES[kind], vae=str(place))})[kind]


def test_sdxls_refiner_is_known_by_what_it_lacks(tmp_path):
    folder = shutil.copytree(locate("tiny:sdxl"), tmp_path / "refiner")
    shutil.rmtree(folder / "text_encoder")
    index = json.loads((folder / "model_index.json").read_text()) | {"text_encoder": [None, None]}
    (folder / "model_index.json").write_text(json.dumps(index))
    assert "SDXL's refiner lacks it: use the base" in refused(on(SDXL, weights=str(folder)), "base.weights")


def net(tmp_path, **settings):
    place = edited(control().weights, tmp_path / "net", **settings)
    return replace(TINY, adapters=[], controls=[Control(name="pose", weights=place)])


def test_a_union_of_controlnets_is_refused_by_its_class(tmp_path):
    made = net(tmp_path, _class_name="ControlNetUnionModel", num_control_type=6)
    assert "is a ControlNet Union, many nets in one" in refused(made, "controls.0.weights")


def test_a_union_of_controlnets_is_refused_by_its_tensors(tmp_path):
    made = net(tmp_path)
    (file,) = (tmp_path / "net").glob("*.safetensors")
    save_file({**load_file(file), "task_embedding": torch.zeros(6, 8)}, file)
    assert "is a ControlNet Union, many nets in one" in refused(made, "controls.0.weights")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"_class_name": "T2IAdapter"}, "is not a ControlNet: its config says T2IAdapter"),
        ({"cross_attention_dim": 2048}, "was made for text 2048 wide"),
        ({"conditioning_channels": 6}, "takes control images of 6 channels"),
        ({"layers_per_block": 1}, "has layers_per_block 1, but the base's UNet has 2"),
        ({"block_out_channels": [8, 16]}, "has block_out_channels [8, 16]"),
        ({"in_channels": 9}, "has in_channels 9, but the base's UNet has 4"),
    ],
)
def test_nets_that_do_not_fit_the_base_are_refused(settings, says, tmp_path):
    assert says in refused(net(tmp_path, **settings), "controls.0.weights")


def test_a_training_checkpoint_of_an_adapter_says_what_it_is(tmp_path):
    names = ("unet.conv_in.weight", "image_proj_model.proj.weight", "adapter_modules.1.to_k_ip.weight")
    save_file({name: torch.zeros(4) for name in names}, tmp_path / "checkpoint.safetensors")
    made = replace(TINY, adapters=[replace(TINY.adapters[0], weights=str(tmp_path / "checkpoint.safetensors"))])
    part = next(part for part in weights.parts(made) if part.kind == "adapter")
    with pytest.raises(RunError, match="is a training checkpoint of an IP-Adapter: the authors' README shows"):
        check_layout(part, made)


@pytest.mark.parametrize("start", ["", "model.diffusion_model."])
def test_a_unet_alone_is_no_base_but_a_unet(start, tmp_path):
    """The original layout's prefix is left out by some who save a UNet alone."""
    whole = load_file(original_layout.write(locate("tiny:sd15"), tmp_path / "whole.safetensors"))
    prefix = "model.diffusion_model."
    unet = {start + name.removeprefix(prefix): one for name, one in whole.items() if name.startswith(prefix)}
    save_file(unet, tmp_path / "unet.safetensors")
    made = on(TINY, unet=str(tmp_path / "unet.safetensors"))
    part = next(part for part in weights.parts(made) if part.kind == "unet")
    assert check_layout(part, made).startswith("a UNet, ")
    if not start:
        made = on(TINY, weights=str(tmp_path / "unet.safetensors"), config="tiny:sd15")
        part = next(part for part in weights.parts(made) if part.kind == "base")
        with pytest.raises(RunError, match=r"is a UNet alone: give it as base\.unet"):
            check_layout(part, made)
