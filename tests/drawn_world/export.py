"""Stage export: the trained weights in the official layouts, under the names of the random tiny world (files.py).

world/sd15, world/sdxl, world/kolors         folders that diffusers' own pipelines read, float16
world/ip-adapter-faceid_sd15.bin, …          the adapters, under the hub's names
world/judge.safetensors                      who looked on in the evaluation (eye.py): tests do so again
world/world.json                             sha256 of every file, and the plan
"""

import hashlib
import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    DDIMScheduler,
    EulerDiscreteScheduler,
    KolorsPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
)
from safetensors.torch import save_file
from torch import Tensor, nn

from drawn_world import autoencoder, branches, diffusion, identity_net, inpaint, judge, kolors, sd15, sdxl
from drawn_world.eye import Eye
from drawn_world.packing import pack
from drawn_world.rounding import round_, rounded
from drawn_world.workspace import Workspace
from idgen.networks import attention
from idgen.tiny.drawn import JUDGE
from idgen.tiny.files import PATHS

Tensors = dict[str, Tensor]


def export(space: Workspace) -> None:
    """Write what is trained so far; families whose weights are missing are left out."""
    folder = space.folder / "world"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    families = {"sd15": _sd15, "sdxl": _sdxl, "kolors": _kolors}
    for name, write in families.items():
        if space.weights(name).exists():
            write(space, folder)
    _encoders(space, folder)
    if space.weights("judge").exists() and space.weights("reader").exists():
        Eye(judge.load_judge(space), judge.load_reader(space)).write(folder / JUDGE)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    sums = {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    record = {"plan": asdict(space.plan), "sha256": sums}
    (folder / "world.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
    whole = sum(path.stat().st_size for path in files)
    packed = pack(folder, space.folder / "pack")
    space.note("export", files=len(files), megabytes=whole / 1e6, packed_megabytes=packed / 1e6)


def _sd15(space: Workspace, folder: Path) -> None:
    made, parts = sd15.load(space)
    # clip_sample would cut latents off at 1
    scheduler = DDIMScheduler(**diffusion.SCHEDULER, clip_sample=False, set_alpha_to_one=False)
    pipeline = StableDiffusionPipeline(
        vae=autoencoder.load(space), text_encoder=made.text.text_encoder, tokenizer=made.text.words,
        unet=made.unet, scheduler=scheduler, safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    _save(pipeline, folder / PATHS["sd15"])
    table = branches.branch_tensors(made.unet, parts["adapter"].branches)
    _ip_adapter(folder / PATHS["faceid_sd15"], parts["adapter"].projection, table, branches.empty_lora(made.unet))
    if space.weights("plus").exists():
        _plus(space, folder, made.unet)


def _plus(space: Workspace, folder: Path, unet: Any) -> None:
    state = torch.load(space.weights("plus"), weights_only=True)
    projection = _under(state, "parts.adapter.projection.")
    table = _branches(state, "parts.adapter.branches.", unet)
    names = {"to_q": "to_q", "to_k": "to_k", "to_v": "to_v", "to_out": "to_out"}
    lora = {
        f"{key.split('_', 1)[0]}.{names[key.split('_', 1)[1]]}_lora.{half}.weight": state[
            f"parts.lora.{key}.{half}.weight"
        ]
        for key in {name.split(".")[2] for name in state if name.startswith("parts.lora.")}
        for half in ("down", "up")
    }
    _ip_adapter(folder / PATHS["faceid_plusv2_sd15"], projection, table, lora)


def _sdxl(space: Workspace, folder: Path) -> None:
    made, parts = sdxl.load(space)
    text: Any = made.text
    pipeline = StableDiffusionXLPipeline(
        vae=autoencoder.load(space), text_encoder=text.text_encoder, text_encoder_2=text.text_encoder_2,
        tokenizer=text.words, tokenizer_2=text.words_2, unet=made.unet,
        scheduler=EulerDiscreteScheduler(**diffusion.SCHEDULER), add_watermarker=False,
    )  # fmt: skip
    _save(pipeline, folder / PATHS["sdxl"])
    table = branches.branch_tensors(made.unet, parts["adapter"].branches)
    _ip_adapter(folder / PATHS["instantid"], parts["adapter"].projection, table, None)
    if space.weights("identity_net").exists():
        net: Any = identity_net.load(space)
        round_(net)
        net.save_pretrained(folder / PATHS["identity_net"], safe_serialization=True)
        (folder / PATHS["ecomid_net"]).mkdir()
        name = "diffusion_pytorch_model.safetensors"
        shutil.copy(folder / PATHS["identity_net"] / name, folder / PATHS["ecomid_net"] / name)
    if space.weights("inpaint").exists():
        whole: Any = inpaint.load(space)
        round_(whole)
        whole.save_pretrained(folder / PATHS["control_inpaint"], safe_serialization=True)
    if space.weights("pulid").exists():
        _pulid(space, folder, made.unet)


def _pulid(space: Workspace, folder: Path, unet: Any) -> None:
    """Version 1 under IP-Adapter's names, which EcomID takes too, and flat."""
    state = torch.load(space.weights("pulid"), weights_only=True)
    encoder, table = _half(_under(state, "projection.")), _branches(state, "branches.", unet)
    save_file(
        {f"image_proj.{name}": one for name, one in encoder.items()}
        | {f"ip_adapter.{name}": one for name, one in table.items()},
        folder / PATHS["pulid_v1_sdxl"],
    )
    flat = {name.replace("to_k_ip", "id_to_k").replace("to_v_ip", "id_to_v"): one for name, one in table.items()}
    torch.save(
        {f"id_adapter.{name}": one for name, one in encoder.items()}
        | {f"id_adapter_attn_layers.{name}": one for name, one in flat.items()},
        folder / PATHS["pulid_v1"],
    )


def _kolors(space: Workspace, folder: Path) -> None:
    made, _ = kolors.load(space)
    text: Any = made.text
    pipeline = KolorsPipeline(
        vae=autoencoder.load(space), text_encoder=text.text_encoder, tokenizer=text.words, unet=made.unet,
        scheduler=EulerDiscreteScheduler(**diffusion.SCHEDULER), force_zeros_for_empty_prompt=False,
    )  # fmt: skip
    _save(pipeline, folder / PATHS["kolors"])
    if space.weights("kolors_plus").exists():
        state = torch.load(space.weights("kolors_plus"), weights_only=True)
        table = _branches(state, "branches.", made.unet)
        projection = _half(_under(state, "projection."))
        torch.save({"image_proj": projection, "adapter_modules": table}, folder / PATHS["kolors_faceid_plus"])


def _encoders(space: Workspace, folder: Path) -> None:
    """Copy the image encoders and the face parser."""
    source = space.folder / "encoders"
    if not (source / "face_parser.pth").exists():
        return
    for name in ("clip_vit_h", "clip_vit_l_336"):
        shutil.copytree(source / name, folder / PATHS[name])
    shutil.copytree(source / "eva", (folder / PATHS["eva_clip"]).parent)
    shutil.copy(source / "face_parser.pth", folder / PATHS["face_parser"])


def _ip_adapter(path: Path, projection: Any, table: Tensors, lora: Tensors | None) -> None:
    """Write an IP-Adapter file: image_proj and ip_adapter, with the LoRA if there is one."""
    path.parent.mkdir(exist_ok=True)
    tensors = projection if isinstance(projection, dict) else projection.state_dict()
    both = {**_half(lora or {}), **table}
    in_order = dict(sorted(both.items(), key=lambda item: int(item[0].partition(".")[0])))
    torch.save({"image_proj": _half(tensors), "ip_adapter": in_order}, path)


def _branches(state: Tensors, prefix: str, unet: Any) -> Tensors:
    """Return the official names of branches saved as `{prefix}{number}.k.weight`."""
    cross = [index for index, name in enumerate(unet.attn_processors) if attention.is_cross(name)]
    return {
        f"{index}.to_{part}_ip.weight": rounded(state[f"{prefix}{number}.{part}.weight"])
        for number, index in enumerate(cross)
        for part in "kv"
    }


def _under(state: Tensors, prefix: str) -> Tensors:
    return {name.removeprefix(prefix): one for name, one in state.items() if name.startswith(prefix)}


def _half(state: Tensors) -> Tensors:
    return {name: rounded(one) for name, one in state.items()}


def _save(pipeline: Any, folder: Path) -> None:
    for part in pipeline.components.values():
        if isinstance(part, nn.Module):
            round_(part)
    pipeline.save_pretrained(folder, safe_serialization=True)
