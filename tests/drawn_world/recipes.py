"""The demo's recipes over an exported world, as the evaluation samples them, and what they are without adapters."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from idgen.recipes.recipe import Recipe
from idgen.tiny.files import PATHS

IDENTITIES = ("faceid-sd15", "faceid-plusv2-sd15", "instantid", "pulid-v1", "ecomid", "kolors-faceid-plus")
BASES = {"sd15": "faceid-sd15", "sdxl": "instantid", "kolors": "kolors-faceid-plus"}
"""Name of a base alone -> recipe that it is a part of."""
NETLESS = {"instantid-branches": "instantid"}
"""Name of an adapter without its net -> recipe that it is a part of."""

Part = TypeVar("Part")


@dataclass(frozen=True, slots=True)
class Tried:
    """A recipe and how it is asked."""

    recipe: Recipe
    placed: bool = False
    """Faces are moved, resized and turned, and their places measured."""


def recipes(world: Path, book: Mapping[str, Recipe]) -> dict[str, Tried]:
    """Return every recipe of the demo's `book` whose files are in `world`, by its name."""
    whole = {name: _inside(book[name], world) for name in IDENTITIES}
    bases = {name: replace(whole[source], controls=[], adapters=[]) for name, source in BASES.items()}
    netless = {name: replace(whole[source], controls=[]) for name, source in NETLESS.items()}
    made = {**bases, **netless, **whole}
    return {name: Tried(one, placed=bool(one.controls)) for name, one in made.items() if _there(one)}


def worn(world: Path, book: Mapping[str, Recipe]) -> Tried:
    """Return the recipe that keeps a product, as it is asked."""
    return Tried(_inside(book["ecomid-inpaint"], world), placed=True)


def _inside(recipe: Recipe, world: Path) -> Recipe:
    """Return the recipe with its drawn weights in the folder `world`."""

    def moved(part: Part) -> Part:
        """Return a part whose locations are paths."""
        places = {field.name: getattr(part, field.name) for field in fields(part)}  # type: ignore[arg-type]
        drawn = {name: one for name, one in places.items() if isinstance(one, str) and one.startswith("drawn:")}
        changed: Any = {name: str(world / PATHS[one.removeprefix("drawn:")]) for name, one in drawn.items()}
        return replace(part, **changed)  # type: ignore[type-var]

    return replace(
        recipe, base=moved(recipe.base), adapters=[moved(one) for one in recipe.adapters],
        controls=[moved(one) for one in recipe.controls],
    )  # fmt: skip


def _there(recipe: Recipe) -> bool:
    wanted = [recipe.base.weights]
    for one in recipe.adapters:
        wanted += [one.weights, one.image_encoder, one.face_parser, one.context_weights]
    wanted += [one.weights for one in recipe.controls]
    return all(Path(place).exists() for place in wanted if place)
