"""Which columns of the manifest the rows of a recipe may set, and which would change nothing there."""

from collections.abc import Iterable

from idgen.column import Column, Need
from idgen.columns import BY_NAME, COLUMNS, INIT_IMAGE
from idgen.recipes.families import FAMILIES
from idgen.recipes.recipe import Recipe
from idgen.recipes.variants import VARIANTS, needs
from idgen.suggestions import suggestion


def may_set(recipe: Recipe, column: Column) -> bool:
    """Return whether rows of `recipe` may set `column`: common ones where it changes something, others if listed."""
    return column.name in recipe.columns or (column.common and not _useless(recipe, column))


def faults(recipe: Recipe) -> Iterable[str]:
    """Yield what is wrong with the columns that `recipe` lists."""
    for name in recipe.columns:
        if name not in BY_NAME:
            yield f"no manifest column {name!r}{suggestion(name, BY_NAME)}"
    for name in recipe.required_columns:
        if name not in recipe.columns:
            yield f"required_columns: {name!r} is not in columns"
    useless = {column.name: why for column in COLUMNS if (why := _useless(recipe, column))}
    yield from (f"column {name} has no effect {useless[name]}" for name in recipe.columns if name in useless)


def _useless(recipe: Recipe, column: Column) -> str:
    """Return why `column` changes nothing in pictures of `recipe`; empty where it does."""
    if column.control and column.control not in (control.name for control in recipe.controls):
        return f"without a control {column.control}"
    if column.need is None or _has(recipe, column.need):
        return ""
    if column.need is Need.TOLD_SIZES:
        return f"on {recipe.base.kind}, which has no size conditioning"
    return f"without {column.need}"


def _has(recipe: Recipe, need: Need) -> bool:
    variants = [VARIANTS[adapter.kind] for adapter in recipe.adapters]
    photos = needs(recipe)
    knows_face = photos.embedding or any(control.name == "identity" for control in recipe.controls)
    return {
        Need.ADAPTER: bool(variants),
        Need.LORA: any(variant.lora for variant in variants),
        Need.SHORTCUT: any("shortcut_scale" in variant.options for variant in variants),
        Need.LOOK: photos.picture_prompt,
        Need.FACE_PICTURE: any(picture.kind == "face" for picture in photos.pictures),
        Need.CONTROL: bool(recipe.controls),
        Need.START_IMAGE: INIT_IMAGE in recipe.columns,
        Need.FACE_PASS: recipe.face_pass is not None and knows_face,
        Need.TOLD_SIZES: FAMILIES[recipe.base.kind].told_sizes,
    }[need]
