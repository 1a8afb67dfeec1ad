"""Nothing of a single file is passed over: marks are followed, leftovers known, all else refused by name."""

import pytest
import torch
from doubles import original_layout
from safetensors.torch import load_file, save_file

from idgen.errors import Exit, RunError
from idgen.recipes.recipe import Base
from idgen.recipes.schedulers import names
from idgen.sampling import bases, schedulers
from idgen.tiny import world

KINDS = ["sd15", "sdxl"]
UNET = "model.diffusion_model."
ATTENTION = f"{UNET}middle_block.1.transformer_blocks.0.attn1.to_q"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return {kind: original_layout.write(world.locate(kind), folder / f"{kind}.safetensors") for kind in KINDS}


def load(kind, file, **changes):
    return bases.load(Base(kind=kind, weights=str(file), config=f"tiny:{kind}", **changes)).pipeline


def write(files, kind, path, extra, without=()):
    """Write the kind's tiny base with `extra` tensors."""
    tensors = {name: tensor for name, tensor in load_file(files[kind]).items() if name not in without}
    save_file(tensors | extra, path)
    return path


def marks(*names):
    return {name: torch.zeros(0) for name in names}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("said", "settings"),
    [
        (("v_pred",), {"prediction_type": "v_prediction", "rescale_betas_zero_snr": False}),
        (("v_pred", "ztsnr"), {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True}),
        ((), {"prediction_type": "epsilon", "rescale_betas_zero_snr": False}),
    ],
)
def test_what_a_file_says_of_its_training_reaches_every_scheduler(kind, said, settings, files, tmp_path):
    pipeline = load(kind, write(files, kind, tmp_path / "marked.safetensors", marks(*said)))
    plain = bases.load(Base(kind=kind, weights=f"tiny:{kind}")).pipeline.scheduler.config
    assert {**pipeline.scheduler.config, "_use_default_values": 0} == {
        **plain,
        **(settings if said else {}),
        "_use_default_values": 0,
    } | {key: value for key, value in settings.items() if said and value and key not in plain}
    for name in names():
        made = schedulers.make(name, dict(pipeline.scheduler.config))
        assert made.config.prediction_type == settings["prediction_type"]
        assert getattr(made.config, "rescale_betas_zero_snr", False) is settings["rescale_betas_zero_snr"]


def test_a_unet_of_its_own_says_how_it_was_trained_and_the_base_beside_it_does_not(files, tmp_path):
    marked = write(files, "sdxl", tmp_path / "v.safetensors", marks("v_pred"))
    assert load("sdxl", files["sdxl"], unet=str(marked)).scheduler.config.prediction_type == "v_prediction"
    assert load("sdxl", marked, unet=str(files["sdxl"])).scheduler.config.prediction_type == "epsilon"


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (("edm_mean", "edm_std"), "it has edm_mean, as Playground v2.5"),
        (("edm_vpred.sigma_max", "edm_vpred.sigma_min"), "it has edm_vpred.sigma_max"),
        (("edm_vpred.sigma_max", "v_pred"), "trained with EDM"),
        (("ztsnr",), "ztsnr without v_pred"),
    ],
)
def test_marks_that_nothing_here_can_follow_are_refused_by_name(said, message, files, tmp_path):
    with pytest.raises(RunError, match=message) as caught:
        load("sdxl", write(files, "sdxl", tmp_path / "marked.safetensors", marks(*said)))
    assert caught.value.exit_code == Exit.USAGE


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({f"{ATTENTION}.scale_weight": torch.ones(1)}, rf"scaled fp8: 1 scales such as {ATTENTION}.scale_weight"),
        ({f"{ATTENTION}.weight_scale": torch.ones(1)}, "scaled fp8"),
        ({"scaled_fp8": torch.zeros(2).to(torch.float8_e4m3fn)}, "scaled fp8: 1 scales such as scaled_fp8"),
        ({f"{ATTENTION}.weight": torch.ones(64, 64, dtype=torch.int8)}, rf"quantised: {ATTENTION}.weight is I8"),
        ({f"{ATTENTION}.lora_down.weight": torch.ones(2, 64)}, r"lora_down.weight|\d+ tensors for the unet"),
        ({f"{UNET}time_embed.cond_proj.weight": torch.ones(64, 8)}, r"1 .* \(model.*cond_proj.weight\): the unet"),
        ({"first_stage_model.encoder.more.weight": torch.ones(8)}, r"1 .* \(first_stage_model.encoder.more.*: the vae"),
        ({"cond_stage_model.transformer.text_model.more.weight": torch.ones(8)}, r"1 tensors .*the text encoder cond"),
        ({"control_model.input_blocks.0.0.weight": torch.ones(8)}, r"\(control_model.input_.*do not belong to a base"),
    ],
)  # fmt: skip
def test_what_would_not_be_read_is_refused_by_name(extra, message, files, tmp_path):
    with pytest.raises(RunError, match=message) as caught:
        load("sd15", write(files, "sd15", tmp_path / "odd.safetensors", extra))
    assert caught.value.exit_code == Exit.USAGE


@pytest.mark.parametrize("kind", KINDS)
def test_leftovers_that_every_other_file_has_are_known(kind, files, tmp_path):
    first = "cond_stage_model." if kind == "sd15" else "conditioner.embedders.0."
    second = {"conditioner.embedders.1.model.logit_scale": torch.ones(())} if kind == "sdxl" else {}
    extra = {
        "model_ema.decay": torch.ones(()),
        "model_ema.num_updates": torch.ones((), dtype=torch.int32),
        "model_ema.diffusion_modelout2bias": torch.ones(4),
        "sqrt_one_minus_alphas_cumprod": torch.ones(1000),
        "betas": torch.ones(1000),
        "posterior_variance": torch.ones(1000),
        f"{first}transformer.text_model.embeddings.position_ids": torch.arange(77)[None],
        f"{first}logit_scale": torch.ones(()),
        "first_stage_model.loss.logvar": torch.ones(()),
        **second,
    }
    made = load(kind, write(files, kind, tmp_path / "usual.safetensors", extra))
    plain = load(kind, files[kind])
    for part in ("unet", "vae", "text_encoder"):
        same, other = getattr(made, part).state_dict(), getattr(plain, part).state_dict()
        assert all(torch.equal(tensor, other[name]) for name, tensor in same.items())


def test_plain_fp8_weights_are_read_as_they_are(files, tmp_path):
    tensors = {name: tensor.to(torch.float8_e4m3fn) for name, tensor in load_file(files["sd15"]).items()}
    save_file(tensors, tmp_path / "fp8.safetensors")
    made = load("sd15", tmp_path / "fp8.safetensors").unet.state_dict()
    assert torch.equal(
        made["conv_in.weight"], tensors[f"{UNET}input_blocks.0.0.weight"].to(made["conv_in.weight"].dtype)
    )


@pytest.mark.parametrize(
    ("part", "extra", "message"),
    [
        ("unet", {"more.weight": torch.ones(3)}, r"1 tensors would not be read \(more.weight\): the unet"),
        ("vae", {"more.weight": torch.ones(3)}, r"more.weight\): the vae has no place"),
        ("text_encoder", {"more.weight": torch.ones(3)}, r"more.weight\): the text_encoder has no place"),
        ("unet", {"conv_in.scale_weight": torch.ones(1)}, "scaled fp8"),
        ("unet", {"conv_in.bias": torch.ones(16, dtype=torch.int8)}, "quantised: conv_in.bias is I8"),
        ("text_encoder", {"text_model.final_layer_norm.bias": torch.ones(32, dtype=torch.uint8)}, "quantised"),
    ],
)  # fmt: skip
def test_a_folder_is_read_to_its_last_tensor_too(part, extra, message, tmp_path):
    import shutil

    folder = shutil.copytree(world.locate("sd15"), tmp_path / "base")
    (path,) = (folder / part).glob("*.safetensors")
    save_file(load_file(path) | extra, path, {"format": "pt"})
    with pytest.raises(RunError, match=message):
        bases.load(Base(kind="sd15", weights=str(folder)))
