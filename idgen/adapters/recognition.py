"""Which kinds of adapter a file may be, read from its keys and shapes: for messages that say what is wrong.

The kind itself always comes from the recipe, as these have one layout: plus and plus-face; FaceID-Plus and its version
2; InstantID and portrait_unnorm; PuLID's version 1 and EcomID; and plus for SDXL and plus for Kolors, whose UNets have
as many layers of the same widths. The last two are told apart by what they read, and by the recipe's base.
"""

from collections.abc import Mapping

from torch import Tensor

from idgen.adapters.layout import Parts, text_projection
from idgen.errors import Exit, RunError
from idgen.networks.attention import Unet, is_cross
from idgen.recipes.variants import VARIANTS, Variant
from idgen.schemas import EMBEDDING_WIDTH

PULID_V1_TOKENS = 10
"""Of version 1's encoder, which its layers do not tell; version 1.1 has a latent per token."""
CROSS_ATTENTIONS = {16: "Stable Diffusion 1.5", 70: "SDXL"}
"""Number of attn2 layers -> family of the base; Kolors has as many as SDXL."""
KOLORS = "Kolors"
_SIGNATURES = {
    "faceid_plus": ("perceiver_resampler.",),
    "pulid": ("body.", "id_embedding_mapping."),
    "resampler": ("layers.",),
    "mlp": ("proj.3.",),
    "faceid": ("proj.0.",),
    "image": ("proj.weight",),
}
"""Projection -> how keys begin that tell it from those below it."""


def check_kind(kind: str, parts: Parts, source: str) -> None:
    """Raise RunError(USAGE) when the file is another kind than the recipe says; the message names what it looks like.

    A file that looks like none passes: reading it strictly says better what is wrong with it.
    """
    likely = [name for name, variant in VARIANTS.items() if _fits(variant, parts)]
    if likely and kind not in likely:
        raise RunError(
            Exit.USAGE,
            f"{source} is no {kind} file: it looks like {' or '.join(likely)}; set `kind` in the recipe to that",
        )


def check_base(kind: str, unet: Unet, parts: Parts, source: str) -> None:
    """Raise RunError(USAGE) when the file is for a base of another family than the one whose UNet is `unet`."""
    layers = sum(is_cross(name) for name in unet.attn_processors)
    found = sum(name.endswith("to_k_ip.weight") for name in parts.branches)
    for_kolors, on_kolors = VARIANTS[kind].kolors, text_projection(unet) is not None
    if for_kolors == on_kolors and (found == layers or found not in CROSS_ATTENTIONS):
        return
    made_for = KOLORS if for_kolors else CROSS_ATTENTIONS.get(found, "SDXL or Stable Diffusion 1.5")
    here = KOLORS if on_kolors else CROSS_ATTENTIONS.get(layers, "something else")
    raise RunError(
        Exit.USAGE,
        f"{source} is made for another kind of base: for {made_for} ({found} cross-attentions, kind {kind}), "
        f"and the recipe's base is {here} ({layers})",
    )


def check_text(unet: Unet, parts: Parts, source: str) -> None:
    """Raise RunError(USAGE) when the branches read tokens of another width than the base's text."""
    read = {tensor.shape[-1] for name, tensor in parts.branches.items() if name.endswith("to_k_ip.weight")}
    width = getattr(getattr(unet, "config", None), "cross_attention_dim", None)
    if isinstance(width, int) and len(read) == 1 and read != {width}:  # of several, others say what is wrong
        raise RunError(
            Exit.USAGE,
            f"{source} is made for another kind of base: for one whose text is {min(read)} wide, that of the recipe's "
            f"base is {width}",
        )


def check_encoder(wanted: int, given: int, what: str, source: str, encoder: str) -> None:
    """Raise RunError(USAGE) when the file reads features of another width than its image encoder gives."""
    if wanted != given:
        raise RunError(
            Exit.USAGE,
            f"{source} reads {wanted}-wide {what}, but the image encoder {encoder} gives {given}-wide ones. Every "
            "*_vit-h, plus, full-face and FaceID-Plus file needs ViT-H (1024 / 1280 wide); only ip-adapter_sdxl and "
            "ip-adapter_sd15_vit-G use bigG (1280 / 1664), and only Kolors' files CLIP ViT-L/14 at 336 px (768 / 1024)",
        )


def _fits(variant: Variant, parts: Parts) -> bool:
    """True when the file is laid out as `variant` is, as far as a few keys tell."""
    weights = parts.projection
    if variant.lora != bool(parts.lora) or _projection(weights) != variant.projection:
        return False
    if variant.tokens is not None and _tokens(weights, variant.projection) != variant.tokens:
        return False
    if variant.projection != "resampler":
        return True
    read = weights.get("proj_in.weight")
    return read is None or (read.shape[-1] == EMBEDDING_WIDTH) == (variant.embedding is not None)


def _projection(weights: Mapping[str, Tensor]) -> str | None:
    return next(
        (name for name, start in _SIGNATURES.items() if any(key.startswith(start) for key in weights)),
        None,
    )


def _tokens(weights: Mapping[str, Tensor], projection: str) -> int | None:
    """Return how many tokens the projection makes, None when the keys that tell are not there."""
    if projection == "pulid" and "id_embedding_mapping.0.weight" not in weights:
        return PULID_V1_TOKENS
    if projection in ("resampler", "pulid"):
        latents = weights.get("latents")
        return None if latents is None or latents.dim() != 3 else latents.shape[1]
    last, norm = weights.get("proj.weight" if projection == "image" else "proj.2.weight"), weights.get("norm.weight")
    return None if last is None or norm is None or not norm.numel() else last.shape[0] // norm.numel()
