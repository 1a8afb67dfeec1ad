"""Every loader accounts for every tensor of its file: one that it does not know and one that it lacks are refused."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import transformers
from adapters.loading import fresh_unet
from doubles import original_layout
from doubles.tiny_recipe import adapter, control, identity_net
from safetensors.torch import load_file, save_file

from idgen.adapters import table
from idgen.adapters.face_encoder import FaceEncoder
from idgen.errors import Exit, RunError
from idgen.networks.image_encoder import ImageEncoder
from idgen.recipes.recipe import Base, Lora
from idgen.sampling import bases, controls, loras, reading
from idgen.sampling.families.cross_attention import host_of
from idgen.sampling.families.kolors_text import KolorsText
from idgen.sampling.library_messages import explained
from idgen.tiny import world
from idgen.tiny.files import ADAPTERS
from idgen.weights.unused import UNUSED

CPU = torch.device("cpu")
UNET, VAE, TEXT = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer.text_model."
FIRST, SECOND = "conditioner.embedders.0.transformer.text_model.", "conditioner.embedders.1.model."


def files(kind, **changes):
    return reading.find(Base(kind=kind, dtype="float32", **{"weights": f"tiny:{kind}", **changes}))


def unet(kind):
    return lambda path: reading.read_unet(files(kind, weights=str(path)))


def vae(kind):
    return lambda path: reading.read_vae(files(kind, weights=str(path)), torch.float32)


def own_unet(path):
    reading.read_unet(files("sd15", unet=str(path)))


def own_vae(path):
    reading.read_vae(files("sd15", vae=str(path)), torch.float32)


def text(kind, name):
    def read(path):
        found = files(kind, weights=str(path))
        with explained(str(path)):
            reading.read_text_encoder(getattr(transformers, reading.TEXT_ENCODERS[name]), found, name)

    return read


def kolors_text(path):
    KolorsText.load(Base(kind="kolors", weights=str(path)), CPU)


def single(kind):
    return lambda path: bases.load(Base(kind=kind, weights=str(path), config=f"tiny:{kind}"))


def identity(name, field="weights"):
    """The adapter of that name, with its own file or the one beside it in the path's place."""
    plain = adapter(name)
    family = ADAPTERS[name].family if name in ADAPTERS else "sdxl"

    def read(path):
        spec = replace(plain, **{field: str(path)})
        made = table.make(spec, 1.0, table.eyes([spec], torch.float32))
        own = [at for at in (spec.weights, spec.context_weights) if at]
        made.load(
            host_of(fresh_unet(family)),
            [Path(at) if at == str(path) else world.locate(at.removeprefix("tiny:")) for at in own],
        )

    return read


def eye(path):
    shutil.copy(world.locate("eva_clip").with_name("config.json"), path.parent)
    FaceEncoder.load(path, world.locate("face_parser"))


def parser(path):
    FaceEncoder.load(world.locate("eva_clip"), path)


def net(spec):
    return lambda path: controls.load([replace(spec, weights=str(path))], torch.float32, CPU)


def style(path):
    pipeline = bases.load(Base(kind="sd15", weights="tiny:sd15", dtype="float32")).pipeline
    loras.merge(pipeline, Lora(name="style", weights=str(path)))


def image_encoder(path):
    ImageEncoder.load(path, torch.float32)


LORA_UP = "lora_unet_down_blocks_0_attentions_0_proj_in.lora_up.weight"
LOADERS = [
    # what is loaded, how, where in it the file lies, what is added, what is taken away
    ("sd15", unet("sd15"), "unet", "made_up.weight", "conv_in.weight"),
    ("sd15", unet("sd15"), "unet", "visual.made_up.weight", "conv_in.weight"),
    ("sd15", vae("sd15"), "vae", "made_up.weight", "decoder.conv_in.weight"),
    ("sd15", text("sd15", "text_encoder"), "text_encoder", "made_up.weight", "final_layer_norm.weight"),
    ("sdxl", text("sdxl", "text_encoder_2"), "text_encoder_2", "text_model.made_up.weight", "text_projection.weight"),
    ("kolors", unet("kolors"), "unet", "made_up.weight", "encoder_hid_proj.weight"),
    ("kolors", kolors_text, "text_encoder", "encoder.made_up.weight", "encoder.final_layernorm.weight"),
    ("sd15 file", single("sd15"), "", "made_up.weight", f"{UNET}input_blocks.3.0.op.bias"),
    ("sd15 file", single("sd15"), "", f"{UNET}input_blocks.1.0.made_up.weight", f"{UNET}time_embed.0.weight"),
    ("sd15 file", single("sd15"), "", f"{VAE}decoder.made_up.weight", f"{VAE}decoder.conv_in.weight"),
    ("sd15 file", single("sd15"), "", f"{TEXT}made_up.weight", f"{TEXT}final_layer_norm.weight"),
    ("sdxl file", single("sdxl"), "", f"{SECOND}transformer.made_up.weight", f"{SECOND}text_projection"),
    ("sdxl file", single("sdxl"), "", f"{FIRST}made_up.weight", f"{UNET}label_emb.0.0.weight"),
    ("sd15 file", own_unet, "", "made_up.weight", f"{UNET}out.2.weight"),
    ("sd15 file", own_vae, "", "made_up.weight", f"{VAE}encoder.conv_in.weight"),
    ("sd15 unet file", own_unet, "", "made_up.weight", "conv_in.weight"),
    ("sd15 vae file", own_vae, "", "decoder.made_up.weight", "decoder.conv_in.weight"),
    ("lcm_lora_sd15", style, "", "made_up.weight", LORA_UP),
    *((name, identity(name), "", *tensors) for name, *tensors in (
        ("ip_adapter_sd15", "made_up.weight", "image_proj.norm.bias"),
        ("ip_adapter_plus_sd15", "image_proj.made_up.weight", "image_proj.latents"),
        ("ip_adapter_full_face_sd15", "image_proj.made_up.weight", "image_proj.proj.3.bias"),
        ("faceid_plusv2_sd15", "ip_adapter.1.made_up_lora.down.weight", "ip_adapter.1.to_q_lora.down.weight"),
        ("faceid_portrait_sd15", "ip_adapter.1.made_up.weight", "ip_adapter.1.to_k_ip.weight"),
        ("kolors_faceid_plus", "adapter_modules.made_up.weight", "image_proj.perceiver_resampler.proj_in.bias"),
        ("instantid", "image_proj.made_up.weight", "image_proj.latents"),
        ("pulid_v1", "id_adapter_attn_layers.made_up.weight", "id_adapter.body.0.bias"),
        ("pulid_v1_1", "id_adapter.made_up.weight", "id_adapter.latents"),
    )),
    ("pulid_v1_sdxl", identity("ecomid"), "", "made_up.weight", "image_proj.body.0.bias"),
    ("instantid", identity("ecomid", "context_weights"), "", "ip_adapter.1.made_up.weight", "image_proj.latents"),
    ("clip_vit_h", image_encoder, "", "made_up.weight", "visual_projection.weight"),
    ("clip_vit_l_336", image_encoder, "", "vision_model.made_up.weight", "visual_projection.weight"),
    ("eva_clip", eye, "", "made_up.weight", "visual.norm.weight"),
    ("eva_clip", eye, "", "visual.made_up.weight", "visual.cls_token"),
    ("face_parser", parser, "", "made_up.weight", "conv_out.conv_out.weight"),
    ("control_sd15", net(control()), "", "made_up.weight", "conv_in.weight"),
    ("identity_net", net(identity_net("instantid")), "", "made_up.weight", "conv_in.weight"),
    ("ecomid_net", net(identity_net("ecomid")), "", "made_up.weight", "conv_in.weight"),
]  # fmt: skip
RENAMED = {
    f"{UNET}input_blocks.3.0.op.bias": "down_blocks.0.downsamplers.0.conv.bias",
    f"{UNET}time_embed.0.weight": "time_embedding.linear_1.weight",
    f"{UNET}label_emb.0.0.weight": "label_emb.0.0.weight",
    f"{UNET}out.2.weight": "conv_out.weight",
    f"{TEXT}final_layer_norm.weight": "final_layer_norm.weight",
    f"{SECOND}text_projection": "text_projection.weight",
    LORA_UP: LORA_UP.replace("lora_up", "lora_down"),
}
"""Names of the original layout -> those of the models that miss them; of a LoRA the half that is left."""


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Where the tiny files lie, with bases and parts of them in single files."""
    folder = tmp_path_factory.mktemp("single")
    kinds = ("sd15", "sdxl")
    made = {f"{kind} file": original_layout.write(world.locate(kind), folder / f"{kind}.safetensors") for kind in kinds}
    parts = {f"sd15 {part} file": next((world.locate("sd15") / part).glob("*.safetensors")) for part in ("unet", "vae")}
    return lambda name: (made | parts).get(name) or world.locate(name)


def edited(place, inside, folder, change):
    """A copy of a file, or of a folder whose file lies `inside`, with changed tensors."""
    folder.mkdir(exist_ok=True)
    copy = folder / place.name
    copy = Path(shutil.copytree(place, copy) if place.is_dir() else shutil.copy(place, copy))
    path = copy / inside if inside else copy
    (path,) = path.glob("*.safetensors") if path.is_dir() else [path]
    if path.suffix == ".safetensors":
        save_file(change(load_file(path)), path, {"format": "pt"})
        return copy
    stored = torch.load(path, weights_only=True)
    tables = {name: table for name, table in stored.items() if isinstance(table, dict)}
    flat = {f"{name}.{key}": one for name, table in tables.items() for key, one in table.items()} or stored
    changed = change(flat)
    if tables:
        names = {name.partition(".")[0] for name in changed}
        changed = {at: {key.removeprefix(f"{at}."): one for key, one in changed.items() if key.startswith(f"{at}.")}
                   for at in names}  # fmt: skip
    torch.save(changed, path)
    return copy


def without(name):
    def change(tensors):
        assert name in tensors
        return {key: one for key, one in tensors.items() if key != name}

    return change


@pytest.mark.parametrize("loader", LOADERS, ids=[f"{place}-{added}" for place, _, _, added, _ in LOADERS])
def test_a_tensor_that_nothing_reads_and_one_that_is_missing_are_refused_by_name(loader, places, tmp_path):
    place, load, inside, added, missing = loader
    said = refused(load, edited(places(place), inside, tmp_path / "more", lambda old: {**old, added: torch.zeros(3)}))
    assert re.search(r"\b1 (tensors would not be read|unknown)|does not belong in|is not part of", said), said
    assert "made_up" in said
    said = refused(load, edited(places(place), inside, tmp_path / "less", without(missing)))
    assert "missing" in said or "lack" in said, said
    assert RENAMED.get(missing, missing) in said or missing.partition(".")[2] in said.split("missing")[1], said


def refused(load, path):
    with pytest.raises(RunError) as caught:
        load(path)
    assert caught.value.exit_code == Exit.USAGE
    assert path.name in caught.value.message
    return caught.value.message


KNOWN = {
    ("sd15", text("sd15", "text_encoder"), "text_encoder"): (
        "text_model.embeddings.position_ids", "logit_scale", "text_projection.weight", "visual_projection.weight",
        "vision_model.embeddings.class_embedding",
    ),
    ("clip_vit_h", image_encoder, ""): (
        "vision_model.embeddings.position_ids", "logit_scale", "text_projection.weight",
        "text_model.embeddings.position_ids", "text_model.final_layer_norm.bias",
    ),
    ("eva_clip", eye, ""): (
        "logit_scale", "text.positional_embedding", "text.text_projection", "text.transformer.resblocks.0.ln_1.bias",
        "visual.rope.freqs_cos", "visual.blocks.0.attn.rope.freqs_sin",
    ),
    ("sd15", vae("sd15"), "vae"): ("loss.discriminator.main.0.weight", "model_ema.decay"),
}  # fmt: skip


@pytest.mark.parametrize("where", KNOWN, ids=[place for place, _, _ in KNOWN])
def test_what_public_files_hold_beside_what_is_read_is_known(where, tmp_path):
    place, load, inside = where
    known = {name: torch.ones(2) for name in KNOWN[where]}
    load(edited(world.locate(place), inside, tmp_path, lambda old: {**known, **old}))


def test_every_line_of_the_list_has_a_reason_and_takes_nothing_else():
    foreign = ["made_up.weight", f"{UNET}made_up.weight", f"{UNET}visual.made_up.weight"]
    for line in UNUSED:
        assert line.why
        assert line.where
        assert not [name for name in foreign if re.fullmatch(line.names, name)]
