"""Runs the parts of InstantID, PuLID and EcomID on their goldens, with any one thing changed.

Stock SDXL pipelines of diffusers, our branches in the UNet, IdentityNet beside it; PuLID's tokens are the golden's own.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from golden.cases import HERE, Case
from torch import Tensor

from idgen.adapters import layout
from idgen.networks import attention, checkpoints, identity_net
from idgen.networks.branch import Branch
from idgen.networks.resampler import Resampler

CASES = HERE.parents[2] / "shared" / "goldens" / "cases"
BRANCHES = {
    "instantid": "ip-adapter.bin",
    "pulid_v1": "pulid_v1.bin",
    "pulid_v1.1": "pulid_v1.1.safetensors",
    "ecomid": "ip-adapter_pulid_sdxl_fp16.safetensors",
}
"""Case -> the file with its 70 pairs of K and V."""
NETS = {"instantid": ("ControlNetModel", None), "ecomid": ("SDXL-EcomID", "../../instantid/checkpoint/ControlNetModel")}
"""Case -> its IdentityNet, and where that one's settings are when not beside it."""
WITHOUT_TEXT = dict.fromkeys(("text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2"))


@dataclass(frozen=True, kw_only=True)
class Setting:
    """How a case is run; tests change one thing of what the case says."""

    combine: str
    attn_mean: str
    num_zero: int
    id_scales: tuple[float, ...]
    net_scales: tuple[float, ...]
    rows: tuple[int, ...]
    guided: bool = True
    unconditional_too: bool = True
    text_to_net: bool = False
    latents: Tensor | None = None


def open_case(name: str) -> Case:
    if not (CASES / name / "case.json").is_file():
        pytest.skip(f"no ../shared/goldens/cases/{name} beside this checkout")
    return Case(CASES / name)


def setting(case: Case, **changes: Any) -> Setting:
    scale, batch = case.facts["scale"], case.facts["batch"]
    own = Setting(
        combine=scale.get("mode", "add"),
        attn_mean=scale.get("attn_mean", "query"),
        num_zero=scale.get("num_zero", 0),
        id_scales=(scale.get("id_scale", scale.get("ip_adapter_scale")),) * batch,
        net_scales=(scale.get("controlnet_conditioning_scale"),) * batch,
        rows=tuple(range(batch)),
    )
    return replace(own, **changes)


def halves(how: Setting, uncond: Tensor, cond: Tensor) -> Tensor:
    """[R, ...]: the chosen rows' unconditional tensors, if there is guidance, then the conditional ones."""
    return torch.cat([*([uncond[list(how.rows)]] if how.guided else []), cond[list(how.rows)]])


def text(case: Case, how: Setting) -> Tensor:
    """[R, 77, D]."""
    return halves(how, case.inputs["negative_prompt_embeds"], case.inputs["prompt_embeds"])


def face_tokens(case: Case) -> tuple[Tensor, Tensor]:
    """InstantID's 16 tokens of no face and of each row's, [B, 16, D]."""
    path = case.folder / "checkpoint" / case.facts["checkpoint"][0]
    resampler = Resampler.from_weights(layout.split(checkpoints.read(path), str(path)).projection, str(path))
    raw = case.inputs["id_embedding_raw"].unsqueeze(1)
    with torch.inference_mode():
        return resampler(torch.zeros_like(raw)), resampler(raw)


def branch_weights(path: Path) -> dict[str, Tensor]:
    """K and V by IP-Adapter's names, in which PuLID's are published too."""
    found = {}
    for name, tensor in checkpoints.read(path).items():
        if match := re.fullmatch(
            r"(?:ip_adapter|id_adapter_attn_layers)\.(\d+)\.(?:id_to_|to_)([kv])(?:_ip)?\.weight", name
        ):
            found[f"{match[1]}.to_{match[2]}_ip.weight"] = tensor
    return found


def scales(numbers: tuple[float, ...], how: Setting) -> Tensor:
    chosen = [numbers[row] for row in how.rows]
    before = [one if how.unconditional_too else 0.0 for one in chosen] if how.guided else []
    return torch.tensor([*before, *chosen]).view(-1, 1, 1)


def bind_branches(case: Case, unet: Any, how: Setting) -> None:
    """Put the identity into the UNet."""
    path = case.folder / "checkpoint" / BRANCHES[case.folder.name]
    theirs = case.expected["tokens_uncond"], case.expected["tokens_cond"]
    bound = halves(how, *(face_tokens(case) if case.folder.name == "instantid" else theirs))
    padded = torch.cat([bound, bound.new_zeros(len(bound), how.num_zero, bound.shape[2])], dim=1).unsqueeze(1)
    for branch in layout.hang_branches(unet, branch_weights(path), str(path)):
        assert isinstance(branch, Branch)
        branch.combine, branch.attn_mean = how.combine, how.attn_mean
        branch.bind(padded, scales(how.id_scales, how), torch.float32)
    attention.bind_text(unet, text(case, how))


def make_pipeline(case: Case, how: Setting) -> Any:
    """The stock pipeline with everything bound."""
    options = {"dtype": torch.float32, "local_files_only": True, **WITHOUT_TEXT}
    base = case.root / "bases" / case.facts["base"]
    if case.folder.name in NETS:
        folder, config = (one and case.folder / "checkpoint" / one for one in NETS[case.folder.name])
        net = identity_net.load(folder, torch.float32, config=config)
        context = text(case, how) if how.text_to_net else halves(how, *face_tokens(case))
        net.bind(context.unsqueeze(1), scales(how.net_scales, replace(how, unconditional_too=True)))
        pipeline = diffusers.StableDiffusionXLControlNetPipeline.from_pretrained(base, controlnet=net, **options)
    else:
        pipeline = diffusers.StableDiffusionXLPipeline.from_pretrained(base, **options)
    scheduler = case.facts["scheduler"]
    pipeline.scheduler = getattr(diffusers, scheduler["class"])(**scheduler["config"])
    pipeline.set_progress_bar_config(disable=True)
    bind_branches(case, pipeline.unet, how)
    return pipeline


@torch.inference_mode()
def run(case: Case, how: Setting, *, whole: bool = True) -> dict[str, Tensor]:
    """Return the judged tensors, of the first step alone unless `whole`."""
    torch.set_num_threads(1)
    pipeline = make_pipeline(case, how)
    predictions: list[Tensor] = []
    steps: list[Tensor] = []

    def keep(pipe, _step, _timestep, tensors):
        steps.append(tensors["latents"])
        pipe._interrupt = not whole  # stock pipelines pass over the steps that are left
        return tensors

    pipeline.unet.register_forward_hook(lambda _module, _args, out: predictions.append(out[0]))
    rows = list(how.rows)
    names = ("prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds")
    points = {"image": case.inputs["kps_image"][rows].permute(0, 3, 1, 2) / 255} if case.folder.name in NETS else {}
    pipeline(
        **{name: case.inputs[name][rows] for name in names},
        **points,
        latents=(case.inputs["latents"] if how.latents is None else how.latents)[rows],
        width=case.facts["width"],
        height=case.facts["height"],
        num_inference_steps=case.facts["steps"],
        guidance_scale=case.facts["guidance_scale"] if how.guided else 1.0,
        output_type="latent",
        callback_on_step_end=keep,
    )
    names_found = ("noise_pred_uncond", "noise_pred_cond") if how.guided else ("noise_pred_cond",)
    found = dict(zip(names_found, predictions[0].split(len(rows)), strict=True))
    return found | ({"latents": steps[-1], "latents_steps": torch.stack(steps)} if whole else {})


def limit(case: Case, name: str) -> float:
    return case.facts["tolerance"]["noise_pred" if name.startswith("noise_pred") else name]


def beyond(case: Case, found: dict[str, Tensor], factor: float = 1) -> set[str]:
    """Names of what is further from the original's than the tolerance times `factor`."""
    names = set()
    for name, tensor in found.items():
        value = (tensor - case.expected[name]).abs().max().item()
        print(f"{case.folder.name} {name}: {value:.2e} of {limit(case, name):.0e}")  # noqa: T201
        if not value <= factor * limit(case, name):
            names.add(name)
    return names
