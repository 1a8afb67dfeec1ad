"""A LoRA is in the weights as W + scale * alpha / rank * up @ down, and nothing else of it is left behind."""

import functools
import re
from dataclasses import replace

import peft
import pytest
import torch
from doubles import original_layout
from doubles.tiny_recipe import TINY, lora
from safetensors.torch import load_file, save_file
from torch import nn

from idgen.errors import RunError
from idgen.recipes.recipe import Base, Lora
from idgen.sampling import bases, loras
from idgen.sampling.sampler import Sampler
from idgen.tiny import world

KINDS = ["sd15", "sdxl"]
TOWERS = {"sd15": {"text_encoder": "te"}, "sdxl": {"text_encoder": "te1", "text_encoder_2": "te2"}}
UNET_LAYERS = re.compile(
    r"(down_blocks\.[12]|mid_block|up_blocks\.1)\."
    r".*(to_[qkv]|to_out\.0|ff\.net\.0\.proj|ff\.net\.2|proj_in|proj_out|conv[12]|time_emb_proj|conv_shortcut)"
)
TEXT_LAYERS = re.compile(r".*layers\.\d+\..*(q_proj|k_proj|v_proj|out_proj|fc1|fc2)")


def load(kind, *loras, **changes):
    spec = Base(kind=kind, **{"weights": f"tiny:{kind}", "dtype": "float32", **changes}, loras=list(loras))
    return bases.load(spec).pipeline


@functools.cache
def plain_base(kind):
    """One without LoRAs, which nobody changes."""
    return load(kind)


def layers(pipeline, part):
    """Return the modules a LoRA may name, by name."""
    wanted = UNET_LAYERS if part == "unet" else TEXT_LAYERS
    return {name: module for name, module in getattr(pipeline, part).named_modules() if wanted.fullmatch(name)}


def halves(module, rank, seed):
    """Random down and up of a layer, of which the filters look at one pixel in `up`."""
    generator = torch.Generator().manual_seed(seed)
    out, inner, *window = module.weight.shape
    down = torch.randn(rank, inner, *window, generator=generator) * 0.1
    up = torch.randn(out, rank, *([1] * len(window)), generator=generator) * 0.1
    return down, up


def product(down, up):
    return (up.flatten(1) @ down.flatten(1)).unflatten(1, down.shape[1:])


def write(pipeline, kind, layout, path, seed=1, text=True):
    """Write a LoRA over many layers with ranks and alphas of their own; return what it adds, by part and layer."""
    tensors, added = {}, {}
    for part in ["unet", *(TOWERS[kind] if text else [])]:
        for number, (name, module) in enumerate(layers(pipeline, part).items()):
            rank, alpha = 2 + number % 3, 1.0 + number % 4
            down, up = halves(module, rank, seed + number)
            if layout in ("kohya", "sgm"):
                inside = name if part == "unet" or name.startswith("text_model") else f"text_model.{name}"
                if layout == "sgm" and part == "unet":  # kohya trains SDXL on the original code's modules
                    inside = original_layout.unet_name(f"{name}.weight", {"0", "1"}).removesuffix(".weight")
                stem = f"lora_{'unet' if part == 'unet' else TOWERS[kind][part]}_{inside.replace('.', '_')}"
                tensors |= {f"{stem}.lora_down.weight": down, f"{stem}.lora_up.weight": up}
                tensors[f"{stem}.alpha"] = torch.tensor(alpha)
            else:
                alpha = rank
                own = ".default" if layout == "named" else ""  # the adapter's name, which peft's state_dict has in it
                tensors |= {f"{part}.{name}.lora_A{own}.weight": down, f"{part}.{name}.lora_B{own}.weight": up}
            added[part, name] = alpha / rank * product(down, up)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return added


def assert_merged(pipeline, plain, added, limit=2e-6):
    """Every weight is the plain one plus what was added to it, to float32's rounding."""
    for part in ("unet", "text_encoder", "text_encoder_2"):
        if not hasattr(plain, part):
            continue
        before, after = getattr(plain, part).state_dict(), getattr(pipeline, part).state_dict()
        assert before.keys() == after.keys()
        for key, tensor in before.items():
            extra = added.get((part, key.removesuffix(".weight")))
            expected = tensor.float() if extra is None else tensor.float() + extra
            assert (after[key].float() - expected).abs().max() <= (0 if extra is None else limit), key
            assert extra is None or (extra.abs().max() > 100 * limit and after[key].dtype == torch.float32)


@pytest.mark.parametrize(
    ("kind", "layout"),
    [
        ("sd15", "kohya"),
        ("sd15", "peft"),
        ("sd15", "named"),
        ("sdxl", "kohya"),
        *(pytest.param("sdxl", layout, marks=pytest.mark.slow) for layout in ("sgm", "peft", "named")),
    ],
)
def test_the_weights_are_what_hand_and_paper_give(kind, layout, tmp_path):
    plain = plain_base(kind)
    added = write(plain, kind, layout, tmp_path / "style.safetensors")
    assert len(added) > 60
    made = load(kind, Lora(name="style", weights=str(tmp_path / "style.safetensors"), scale=0.7))
    assert_merged(made, plain, {key: 0.7 * extra for key, extra in added.items()})


@pytest.mark.parametrize("kind", KINDS)
def test_a_lora_of_the_unet_whose_names_have_the_adapters_in_them_is_not_lost(kind, tmp_path):
    plain = plain_base(kind)
    added = write(plain, kind, "named", tmp_path / "style.safetensors", text=False)
    made = load(kind, Lora(name="style", weights=str(tmp_path / "style.safetensors"), scale=0.7))
    assert_merged(made, plain, {key: 0.7 * extra for key, extra in added.items()})


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_several_add_up_each_with_its_own_scale(kind, tmp_path):
    plain = load(kind)
    first = write(plain, kind, "kohya", tmp_path / "a.safetensors", seed=1)
    second = write(plain, kind, "peft", tmp_path / "b.safetensors", seed=500, text=False)
    specs = [
        Lora(name=name, weights=str(tmp_path / f"{name}.safetensors"), scale=scale)
        for name, scale in (("a", 0.5), ("b", -1.2))
    ]
    expected = {key: 0.5 * extra + (-1.2 * second[key] if key in second else 0) for key, extra in first.items()}
    assert_merged(load(kind, *specs), plain, expected)
    assert_merged(load(kind, *reversed(specs)), plain, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_an_lcm_lora_in_its_own_layout(kind):
    plain, path = load(kind), world.locate(f"lcm_lora_{kind}")
    file = {name: tensor.float() for name, tensor in load_file(path).items()}
    names = {"lora_unet_" + name.replace(".", "_"): name for name, _ in plain.unet.named_modules()}
    added = {}
    for stem in {name.partition(".")[0] for name in file}:
        down, up, alpha = (file[f"{stem}.{end}"] for end in ("lora_down.weight", "lora_up.weight", "alpha"))
        added["unet", names[stem]] = alpha / down.shape[0] * product(down, up)
    made = load(kind, lora(kind))
    assert_merged(made, plain, added)
    assert made.text_encoder.dtype == torch.float16  # a LoRA for the UNet alone leaves the others as they are stored


@pytest.mark.parametrize("name", ["", ".default", ".default_0"])
def test_the_alpha_that_diffusers_writes_into_a_files_header_counts(name, tmp_path):
    from diffusers import StableDiffusionPipeline

    plain = load("sd15")
    target = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
    down, up = halves(plain.unet.get_submodule(target), 4, 1)
    StableDiffusionPipeline.save_lora_weights(
        tmp_path,
        unet_lora_layers={f"{target}.lora_A{name}.weight": down, f"{target}.lora_B{name}.weight": up},
        unet_lora_adapter_metadata=peft.LoraConfig(r=4, lora_alpha=12, target_modules=["to_q"]).to_dict(),
    )
    made = load("sd15", Lora(name="x", weights=str(tmp_path / "pytorch_lora_weights.safetensors")))
    assert_merged(made, plain, {("unet", target): 3 * product(down, up)})


@pytest.mark.parametrize("kind", KINDS)
def test_no_module_of_the_loader_stays_and_none_is_another(kind, tmp_path, monkeypatch):
    plain = load(kind)
    write(plain, kind, "kohya", tmp_path / "style.safetensors")
    seen = {}
    real = loras.merge

    def watch(pipeline, lora):
        parts = {name: part for name, part in pipeline.components.items() if isinstance(part, nn.Module)}
        trees = {name: dict(part.named_modules()) for name, part in parts.items()}
        processors = dict(pipeline.unet.attn_processors)
        real(pipeline, lora)
        for name, part in parts.items():
            after = dict(part.named_modules())
            assert after.keys() == trees[name].keys()
            assert all(module is trees[name][at] for at, module in after.items())
            assert not getattr(part, "peft_config", None)
            assert not getattr(part, "_hf_peft_config_loaded", None)
        assert all(pipeline.unet.attn_processors[at] is processor for at, processor in processors.items())
        seen.update(parts)

    monkeypatch.setattr(loras, "merge", watch)
    made = load(kind, Lora(name="style", weights=str(tmp_path / "style.safetensors")))
    assert seen
    assert made.get_list_adapters() == {}
    assert not any(tensor.requires_grad for part in seen.values() for tensor in part.parameters())
    assert not any(part.training for part in seen.values())
    assert {name: str(part.state_dict().keys()) for name, part in seen.items()} == {
        name: str(getattr(plain, name).state_dict().keys()) for name in seen
    }


def test_a_lora_comes_before_the_faceids_own_and_both_are_in_the_weights():
    style = replace(lora("sd15"), scale=0.6)
    samplers = {
        (scale, bool(loras)): Sampler.load(
            replace(TINY, base=replace(TINY.base, loras=loras)), lora_scale=scale, device="cpu"
        )
        for scale in (0.0, 0.7)
        for loras in ([], [style])
    }
    plain, only_style, only_face, both = (
        samplers[key].pipeline.unet.state_dict() for key in ((0.0, False), (0.0, True), (0.7, False), (0.7, True))
    )
    changed = 0
    for key, tensor in plain.items():
        sum_of_both = only_style[key] + only_face[key] - tensor
        assert (both[key] - sum_of_both).abs().max() < 1e-5, key
        changed += bool((only_style[key] != tensor).any() and (only_face[key] != tensor).any())
    assert changed > 4


def test_everything_is_cast_once_when_all_is_merged():
    made = bases.load(Base(weights="tiny:sd15", dtype="bfloat16", loras=[lora("sd15")]))
    expected = {name: tensor.to(torch.bfloat16) for name, tensor in made.pipeline.unet.state_dict().items()}
    made.place(torch.device("cpu"))
    assert all(torch.equal(tensor, expected[name]) for name, tensor in made.pipeline.unet.state_dict().items())


@pytest.mark.parametrize(("kind", "other"), [("sd15", "sdxl"), ("sdxl", "sd15")])
@pytest.mark.parametrize("layout", ["kohya", "peft"])
def test_a_lora_of_another_family_is_refused_with_a_hint(kind, other, layout, tmp_path):
    write(load(other), other, layout, tmp_path / "other.safetensors")
    with pytest.raises(RunError, match=r"does not fit StableDiffusion.*works only on the family"):
        load(kind, Lora(name="other", weights=str(tmp_path / "other.safetensors")))
