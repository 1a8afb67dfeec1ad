"""The demo's recipes over an exported world, as the evaluation samples them, and what they are without adapters."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from idgen.recipes import Recipe
from idgen.tiny.files import PATHS

IDENTITIES = ("faceid-sd15", "faceid-plusv2-sd15", "instantid", "pulid-v1", "ecomid", "kolors-faceid-plus")
WITHOUT = {
    "sd15": "faceid-sd15", "sdxl": "instantid", "kolors": "kolors-faceid-plus", "instantid-branches": "instantid",
}  # fmt: skip
"""Name -> recipe that it is a part of: a base alone, or InstantID without its net."""

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
    parts = {
        name: replace(whole[source], controls=[], adapters=whole[source].adapters if "-" in name else [])
        for name, source in WITHOUT.items()
    }
    made = {**parts, **whole}
    return {name: Tried(one, placed=bool(one.controls)) for name, one in made.items() if _there(one)}


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
