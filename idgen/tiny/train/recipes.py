"""The product's recipes over an exported world, as the evaluation samples them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from idgen.recipes import AdapterSpec, Base, Control, Recipe
from idgen.tiny.files import PATHS

GUIDANCE = 3.0


@dataclass(frozen=True, slots=True)
class Tried:
    """A recipe and how it is sampled."""

    recipe: Recipe
    scheduler: str
    scale: float = 1.0
    placed: bool = False
    """Faces are moved, resized and turned, and their places measured."""


def recipes(world: Path) -> dict[str, Tried]:
    """Return every recipe whose files are in `world`, by its name."""

    def at(name: str) -> str:
        """Return where the file or folder of this name lies."""
        return str(world / PATHS[name])

    def base(kind: str) -> Base:
        """Return the base of this kind."""
        return Base(kind=kind, weights=at(kind), dtype="float32", vae_dtype="float32")  # type: ignore[arg-type]

    identity = Control(name="identity", weights=at("identity_net"), scale=1.0)
    eva: dict[str, Any] = {"image_encoder": at("eva_clip"), "face_parser": at("face_parser")}
    clip_h: dict[str, Any] = {"image_encoder": at("clip_vit_h")}
    clip_l: dict[str, Any] = {"image_encoder": at("clip_vit_l_336")}
    every = {
        "sd15": Tried(Recipe(base=base("sd15")), "ddim"),
        "faceid-sd15": Tried(Recipe(base=base("sd15"), adapters=[
            AdapterSpec(name="faceid", kind="faceid", weights=at("faceid_sd15"))]), "ddim"),
        "faceid-plusv2-sd15": Tried(Recipe(base=base("sd15"), adapters=[
            AdapterSpec(name="faceid", kind="faceid_plusv2", weights=at("faceid_plusv2_sd15"), **clip_h)]), "ddim"),
        "sdxl": Tried(Recipe(base=base("sdxl")), "euler"),
        "instantid-branches": Tried(Recipe(base=base("sdxl"), adapters=[
            AdapterSpec(name="instantid", kind="instantid", weights=at("instantid"))]), "euler", 0.8),
        "instantid": Tried(Recipe(base=base("sdxl"), controls=[identity], adapters=[
            AdapterSpec(name="instantid", kind="instantid", weights=at("instantid"))]), "euler", 0.8, placed=True),
        "pulid-v1": Tried(Recipe(base=base("sdxl"), adapters=[
            AdapterSpec(name="pulid", kind="pulid_v1", weights=at("pulid_v1"), **eva)]), "euler", 0.8),
        "ecomid": Tried(Recipe(base=base("sdxl"), controls=[identity], adapters=[
            AdapterSpec(name="ecomid", kind="ecomid", weights=at("pulid_v1_sdxl"), context_weights=at("instantid"),
                        **eva)]), "euler", 0.8, placed=True),
        "kolors": Tried(Recipe(base=base("kolors")), "euler"),
        "kolors-faceid-plus": Tried(Recipe(base=base("kolors"), adapters=[AdapterSpec(
            name="faceid", kind="kolors_faceid_plus", weights=at("kolors_faceid_plus"), **clip_l)]), "euler"),
    }  # fmt: skip
    return {name: tried for name, tried in every.items() if _there(tried.recipe)}


def _there(recipe: Recipe) -> bool:
    wanted = [recipe.base.weights]
    for one in recipe.adapters:
        wanted += [one.weights, one.image_encoder, one.face_parser, one.context_weights]
    wanted += [one.weights for one in recipe.controls]
    return all(Path(place).exists() for place in wanted if place)
