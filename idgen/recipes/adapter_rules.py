"""Rules for a recipe's adapters: alone, on its base, and beside its controls. No torch here."""

from collections.abc import Iterable

from idgen.recipes.families import short_titles
from idgen.recipes.recipe import AdapterSpec, Recipe
from idgen.recipes.variants import VARIANTS

_TWINS = {"faceid_plus": "faceid-plusv2_", "faceid_plusv2": "faceid-plus_"}
"""Kind -> what the published file of the other version is called: names and shapes inside are the same, so nothing
else tells them apart, and the wrong one makes bad pictures without an error."""
_PULIDS_OWN = ("face_parser", "combine", "attn_mean", "num_zero", "antialias", "references")
"""Settings that PuLID's kinds alone have."""


def faults(recipe: Recipe) -> Iterable[str]:
    """Yield what is wrong with the adapters of `recipe`, in words that begin with the setting."""
    for adapter in recipe.adapters:
        for fault in (*_base_faults(adapter, recipe.base.kind), *_own_faults(adapter), *_pulid_faults(adapter)):
            yield f"adapter {adapter.name}: {fault}"
    yield from _context_faults(recipe)


def _base_faults(adapter: AdapterSpec, base: str) -> Iterable[str]:
    """Kolors has SDXL's layers, but text of its own."""
    families = VARIANTS[adapter.kind].families
    if base not in families:
        yield f"{adapter.kind} is made for {short_titles(families)}, but the recipe's base is {base}"


def _own_faults(adapter: AdapterSpec) -> Iterable[str]:
    kind, variant = adapter.kind, VARIANTS[adapter.kind]
    looks = variant.picture is not None
    if looks and not adapter.image_encoder:
        yield f"{kind} needs an image_encoder"
    if not looks and adapter.image_encoder:
        yield f"{kind} does not take an image_encoder"
    side = adapter.face_crop_px
    if side is not None and (variant.picture != "aligned" or side < 1 or (side % 112 and side % 128)):
        yield "face_crop_px is for aligned faces only, and must be a multiple of 112 or 128"
    other = _TWINS.get(kind)
    if other and other in adapter.weights:
        twin = next(kind for kind in _TWINS if kind != adapter.kind)
        yield f"{adapter.weights} is the file of kind {twin}, judging by its name"


def _pulid_faults(adapter: AdapterSpec) -> Iterable[str]:
    """PuLID's kinds, and what only they have."""
    kind, variant = adapter.kind, VARIANTS[adapter.kind]
    wants_context = variant.context and variant.pulid is not None
    if wants_context and not adapter.context_weights:
        yield f"{kind} needs context_weights, InstantID's ip-adapter.bin"
    if not wants_context and adapter.context_weights:
        yield f"{kind} does not take context_weights, only ecomid does"
    if variant.pulid is None:
        yield from (f"{kind} does not take {name}" for name in _PULIDS_OWN if getattr(adapter, name) not in (None, ""))
        return
    if not adapter.face_parser:
        yield f"{kind} needs a face_parser"
    yield from (f"{kind} does not take {name}" for name in ("clip_fit", "face_crop_color") if getattr(adapter, name))
    if adapter.attn_mean and variant.pulid.as_said(adapter).combine != "ortho_v2":
        yield f"attn_mean works with combine ortho_v2, not with {adapter.combine}"
    if adapter.num_zero is not None and adapter.num_zero < 0:
        yield "num_zero must be 0 or more"
    if adapter.references and variant.pulid.references is None:
        yield f"{kind} does not take references: it uses all photos of a person at once"


def _context_faults(recipe: Recipe) -> Iterable[str]:
    """What looks at a face's tokens instead of the prompt has them of one adapter.

    InstantID's branches alone are a recipe too; EcomID's without IdentityNet are PuLID's, under a wrong name.
    """
    givers = [adapter for adapter in recipe.adapters if VARIANTS[adapter.kind].context]
    lookers = [control.name for control in recipe.controls if control.name == "identity" or control.context == "face"]
    if lookers and len(givers) != 1:
        kinds = " or ".join(kind for kind, variant in VARIANTS.items() if variant.context)
        named = f"there are several: {', '.join(adapter.name for adapter in givers)}" if givers else "there is none"
        yield f"controls: {lookers[0]} needs the face tokens of exactly one adapter of kind {kinds}, but {named}"
    for adapter in givers:
        if adapter.kind == "ecomid" and "identity" not in (control.name for control in recipe.controls):
            yield (
                f"adapter {adapter.name}: ecomid needs the control identity; without it use pulid_v1, with "
                "attn_mean: global for EcomID's formula"
            )
