"""Whether a loaded file is the adapter that a recipe says, made for its base and its encoder: messages that say what is
wrong. What files look like is in weights/recognition.py, which the plan's checks read too.

The kind itself always comes from the recipe, as some kinds have one layout.
"""

from idgen.adapters.layout import Parts
from idgen.adapters.protocol import Host
from idgen.errors import Exit, RunError
from idgen.networks.attention import is_cross
from idgen.recipes.families import FAMILIES, FamilyName
from idgen.recipes.variants import VARIANTS
from idgen.weights import recognition


def check_kind(kind: str, parts: Parts, source: str) -> None:
    """Raise RunError(USAGE) when the file is another kind than the recipe says; the message names what it looks like.

    A file that looks like none passes: reading it strictly says better what is wrong with it.
    """
    own = {name: tuple(tensor.shape) for name, tensor in parts.projection.items()}
    likely = recognition.likely_kinds(own, has_lora=bool(parts.lora))
    if likely and kind not in likely:
        raise RunError(
            Exit.USAGE,
            f"{source} is not a file of kind {kind}: it looks like {' or '.join(likely)}; set `kind` in the recipe "
            "to that",
        )


def check_base(kind: str, host: Host, parts: Parts, source: str) -> None:
    """Raise RunError(USAGE) when the file is for a base of another family than the one that it is to hang into."""
    layers = sum(is_cross(name) for name in host.denoiser.attn_processors)
    found = sum(name.endswith("to_k_ip.weight") for name in parts.branches)
    families = VARIANTS[kind].families
    known = {family.cross_attentions for family in FAMILIES.values()}
    if host.family in families and (found == layers or found not in known):
        return
    here = FAMILIES[host.family]
    raise RunError(
        Exit.USAGE,
        f"{source} is made for another kind of base: for {_made_for(families, found)} ({found} cross-attentions, kind "
        f"{kind}), but the recipe's base is {here.title if layers in known else 'something else'} ({layers})",
    )


def _made_for(families: tuple[FamilyName, ...], layers: int) -> str:
    """Return the title of those `families` whose bases have so many layers, of all where none has."""
    fitting = [FAMILIES[name] for name in families if FAMILIES[name].cross_attentions == layers]
    return " or ".join(family.title for family in fitting or [FAMILIES[name] for name in families])


def check_text(host: Host, parts: Parts, source: str) -> None:
    """Raise RunError(USAGE) when the branches read tokens of another width than the base's text."""
    read = {tensor.shape[-1] for name, tensor in parts.branches.items() if name.endswith("to_k_ip.weight")}
    width = host.text_width
    if width is not None and len(read) == 1 and read != {width}:  # of several, others say what is wrong
        raise RunError(
            Exit.USAGE,
            f"{source} is made for another kind of base: it needs text {min(read)} wide, but the recipe's base has "
            f"{width}",
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
