"""What a file of weights is, by the names and shapes of its tensors: one table for the plan's checks and for loading.

No torch here. What a recipe says a file is, it is never guessed; this table tells when it cannot be that, and what it
looks like instead.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from idgen.recipes.variants import VARIANTS, Variant
from idgen.schemas import EMBEDDING_WIDTH
from idgen.weights.headers import Shapes


@dataclass(frozen=True, slots=True)
class Look:
    """What one kind of file looks like."""

    what: str
    """In messages."""
    names: tuple[str, ...]
    """Patterns: for each of them some tensor's name begins so."""


BRANCH_TABLES = ("ip_adapter", "adapter_modules")
"""What adapters' files call their branches; the second is Kolors' FaceID-Plus'."""
FILES: dict[str, Look] = {
    "unet": Look("a UNet", (r"(model\.diffusion_model\.|unet\.)?(up|output)_blocks\.",)),
    "vae": Look("a VAE", (r"(first_stage_model\.|vae\.)?decoder\.conv_in\.",)),
    "base": Look("a base in the original layout", (r"model\.diffusion_model\.",)),
    "lora": Look("a LoRA", (r"(.*[._])?lora[._]",)),
    "image_encoder": Look("a CLIP image encoder", (r"(.*\.)?vision_model\.",)),
    "tower": Look(
        "an EVA02-CLIP",
        (r"visual\.cls_token$", r"visual\.head\.weight$", r"visual\.blocks\.0\.attn\.inner_attn_ln\.weight$"),
    ),
    "face_parser": Look(
        "facexlib's face parser",
        (r"cp\.resnet\.conv1\.weight$", r"ffm\.conv2\.weight$", r"conv_out\.conv_out\.weight$"),
    ),
    "net": Look("a ControlNet", (r"controlnet_cond_embedding\.conv_in\.weight$",)),
    "original_net": Look("a ControlNet in the original layout", (r"(.*)input_hint_block\.",)),
    "union_net": Look(
        "a ControlNet Union",
        (r"task_embedding|control_add_embedding\.|spatial_ch_projs\.|transformer_layes\.",),  # spelt so
    ),
    "adapter": Look("an IP-Adapter", (r"(image_proj|ip_adapter|adapter_modules)\.",)),
    "branches": Look("an IP-Adapter's branches", (r"(ip_adapter|adapter_modules)\..*to_k_ip\.weight$",)),
    "training": Look(
        "a training checkpoint of an IP-Adapter: the authors' README shows how to turn it into image_proj and "
        "ip_adapter; give that file",
        (r"image_proj_model\.",),
    ),
}
"""Kind of file -> its look."""
INSTEAD: dict[str, dict[str, str]] = {
    "base": {
        r"(input_blocks|down_blocks)(\.|$)": "a UNet alone: give it as base.unet, with a complete base in base.weights",
        r"conditioner\.embedders\.0\.model\.": "SDXL's refiner, which has only one text encoder: use the base that "
        "it refines",
    },
    "lora": {
        r".*\.hada_\w+$": "a LoHa (LyCORIS)",
        r".*\.lokr_\w+$": "a LoKr (LyCORIS)",
        r".*\.(dora_scale|lora_magnitude_vector(\.\w+)*)$": "a DoRA",
        r".*\.lora_mid\.weight$": "a LoCon with a Tucker core (LyCORIS)",
        r".*\.(oft|boft)_\w+(\.\w+)*$": "an OFT",
        r".*\.on_input$": "an (IA)3 (LyCORIS)",
        r".*\.(diff|diff_b|w_norm|b_norm)$": "a LyCORIS with full weights",
        r"bundle_emb\.": "a LoRA with embeddings for new words",
        r"(image_proj|ip_adapter|adapter_modules)\.": "the file of an IP-Adapter, which belongs in adapters",
    },
    "pulid": {
        r"(pulid_ca|pulid_encoder)\.": "PuLID for FLUX, which does not fit SDXL bases",
        r"visual\.": "the EVA02-CLIP that PuLID uses, not PuLID itself",
        r"controlnet_cond_embedding\.": "a ControlNet, like EcomID's IdentityNet",
        r"image_proj\.perceiver_resampler\.": "an IP-Adapter-FaceID-Plus",
        r"image_proj\.proj_in\.": "an IP-Adapter-Plus, or InstantID",
        r"image_proj\.proj\.": "an IP-Adapter",
    },
}
"""What people give in the place of a base in a single file, of a plain LoRA, of PuLID: how names of its tensors begin
-> what it is. The first that fits is told."""
PULID_VERSIONS = {"v1": "body.0.weight", "v1.1": "id_embedding_mapping.0.weight"}
"""PuLID's versions -> a tensor of the encoder that only they have, whose width is that of the condition."""


@dataclass(frozen=True, slots=True)
class Projection:
    """What the network that makes tokens looks like in a file, by its own names."""

    marks: tuple[str, ...]
    """For each of them some name begins so; together they tell it from those below it."""
    reads: tuple[str, int] = ("", 0)
    """The tensor, and which of its sides is as wide as what goes in."""
    last: str = ""
    """The tensor that makes all tokens at once; "latents" has one each."""


PROJECTIONS: dict[str, Projection] = {
    "faceid_plus": Projection(
        ("perceiver_resampler.proj_in.",), ("perceiver_resampler.proj_in.weight", 1), "proj.2.weight"
    ),
    "pulid": Projection(("mapping_0.",), last="latents"),
    "resampler": Projection(("latents",), ("proj_in.weight", 1), "latents"),
    "mlp": Projection(("proj.3.",), ("proj.0.weight", 1), "proj.2.weight"),
    "faceid": Projection(("proj.0.", "norm."), ("proj.0.weight", 1), "proj.2.weight"),
    "image": Projection(("proj.weight",), ("proj.weight", 1), "proj.weight"),
}
"""A line of recipes/variants.py's `projection` -> how it looks."""
PULID_V1_TOKENS = 10
"""Of version 1's encoder, which its layers do not tell; version 1.1 has a latent per token."""


def is_a(kind: str, names: Iterable[str]) -> bool:
    """Tell whether a file whose tensors have these `names` looks like the `kind` of FILES."""
    there = list(names)
    return all(any(re.match(pattern, name) for name in there) for pattern in FILES[kind].names)


def instead(of: str, names: Iterable[str]) -> str:
    """Return what a file is that was given in the place of another kind (a key of INSTEAD), "" when it is not known."""
    there = list(names)
    return next((what for start, what in INSTEAD[of].items() if any(re.match(start, name) for name in there)), "")


def projection_of(own: Iterable[str]) -> str:
    """Return which projection has these names, "" for none that is known; `own` are without `image_proj.`."""
    there = list(own)
    for name, projection in PROJECTIONS.items():
        if all(any(key.startswith(mark) for key in there) for mark in projection.marks):
            return name
    return ""


def likely_kinds(own: Mapping[str, tuple[int, ...]], *, has_lora: bool) -> list[str]:
    """Return the kinds of recipes/variants.py that an adapter's file may be, as far as a few tensors tell.

    `own` are the shapes of its projection, without `image_proj.`. These have one layout: plus and plus-face;
    FaceID-Plus and its version 2; InstantID and portrait_unnorm; PuLID's version 1 and EcomID; and plus for SDXL and
    for Kolors, whose UNets have as many layers of the same widths. The last two are told apart by what they read, and
    by the base.
    """
    return [kind for kind, variant in VARIANTS.items() if _fits(variant, own, has_lora)]


def own_shapes(shapes: Shapes) -> Shapes:
    """Return the shapes of an adapter's projection, without `image_proj.`."""
    start = "image_proj."
    return {name.removeprefix(start): shape for name, shape in shapes.items() if name.startswith(start)}


def _fits(variant: Variant, own: Mapping[str, tuple[int, ...]], has_lora: bool) -> bool:
    if variant.lora != has_lora or projection_of(own) != variant.projection:
        return False
    if variant.tokens is not None and _tokens(own, variant.projection) != variant.tokens:
        return False
    if variant.projection != "resampler":
        return True
    read = own.get("proj_in.weight")
    return read is None or (read[-1] == EMBEDDING_WIDTH) == (variant.embedding is not None)


def _tokens(own: Mapping[str, tuple[int, ...]], projection: str) -> int | None:
    """Return how many tokens the projection makes, None when the tensors that tell are not there."""
    if projection == "pulid" and PULID_VERSIONS["v1.1"] not in own:
        return PULID_V1_TOKENS
    last, norm = own.get(PROJECTIONS[projection].last), own.get("norm.weight")
    if PROJECTIONS[projection].last == "latents":
        return None if last is None or len(last) != 3 else last[1]
    return None if last is None or norm is None or not norm[0] else last[0] // norm[0]
