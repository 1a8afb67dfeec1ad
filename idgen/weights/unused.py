"""Tensors that published files hold but idgen does not use, each with the reason; no torch here.

Every loader accounts for every tensor of its file: it is used, or stands in this list, or the file is refused by name.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Literal

Role = Literal["file", "unet", "vae", "text", "net", "image_encoder", "tower", "context"]
"""file = a base, or a part of one, in a single file; unet, vae, text and net = folders in diffusers layout;
image_encoder = CLIP's; tower = EVA02-CLIP's; context = InstantID's file beside EcomID's."""
_IN_TEXTS = r"((cond_stage_model|conditioner\.embedders\.\d)\.(.*\.)?)?"
"""Beginning of names in a single file that belong to its text encoders; some files have lost it."""


@dataclass(frozen=True, slots=True)
class Unused:
    """Some tensors that are never read."""

    names: str
    """Pattern that the whole name fits."""
    why: str
    """What they are."""
    where: tuple[Role, ...]
    """Where such tensors are known."""


UNUSED: tuple[Unused, ...] = (
    Unused(r"model_ema\..*", "averages of the weights over the training, for training on", ("file",)),
    Unused(
        r"(sqrt_|log_)?(one_minus_|recip_|recipm1_)?alphas_cumprod(_prev)?|sqrt_recip(m1)?_alphas_cumprod|betas|"
        r"posterior_\w+|log_one_minus_alphas_cumprod|lvlb_weights|logvar|scale_factor|denoiser\.\w+",
        "tables of the training",
        ("file",),
    ),
    Unused(r"((first_stage_model|vae)\.)?(loss|model_ema)\..*", "what judged the VAE in its training", ("file", "vae")),
    Unused(r"(embedding_manager|safety_checker)\..*", "parts of programs that the file was made with", ("file",)),
    Unused(
        r"(.*\.)?(position_ids|attn_mask|inv_freq)",
        "tables that follow from the model's size",
        ("file", "unet", "vae", "text", "net", "image_encoder", "tower"),
    ),
    Unused(
        r"(.*\.)?logit_scale",
        "what CLIP compares text and pictures with",
        ("file", "text", "image_encoder", "tower"),
    ),
    Unused(rf"{_IN_TEXTS}(vision_model|visual_projection|visual)\..*", "CLIP's eyes", ("file", "text")),
    Unused(
        r"((cond_stage_model|conditioner\.embedders\.0)\.(transformer\.)?)?text_projection(\.weight)?",
        "pools a text encoder's states that nothing pools",
        ("file", "text"),
    ),
    Unused(
        r"text_model\..*|text_projection(\.weight)?", "what CLIP reads texts with: Kolors' is whole", ("image_encoder",)
    ),
    Unused(r"text\..*", "what EVA02-CLIP reads texts with", ("tower",)),
    Unused(
        r"visual\.(blocks\.\d+\.attn\.)?rope\.freqs_(cos|sin)",
        "rotary positions rounded to float16: they are computed again, as the official factory does",
        ("tower",),
    ),
    Unused(
        r"ip_adapter\.\d+\.to_[kv]_ip\.weight",
        "InstantID's branches: EcomID hangs PuLID's in their place",
        ("context",),
    ),
)
UNUSED_IN_FACE_PACKS: dict[str, str] = {
    "1k3d68.onnx": "68 points of a face in space",
    "2d106det.onnx": "106 points of a face",
    "genderage.onnx": "sex and age",
}
"""Networks of published packs that no adapter asks for -> what they find. They are never loaded."""


def unread(names: Iterable[str], role: Role) -> list[str]:
    """Return those of `names`, in their order, that are not known to be unused in a file of this `role`."""
    known = re.compile("|".join(f"(?:{pattern})" for pattern in patterns(role)))
    return [name for name in names if not known.fullmatch(name)]


@cache
def patterns(role: Role) -> tuple[str, ...]:
    """Return the patterns of whole names that are known to be unused in a file of this `role`."""
    return tuple(one.names for one in UNUSED if role in one.where)
