"""Files of recipes and bases -> `Recipe`. With settings.py and yaml_files.py the only place where OmegaConf is used.

A recipe's name is `<recipe>`, a file of configs/recipes, or `<recipe>@<base>`: the same recipe on a base of
configs/bases. What stands later wins: recipe file, `overrides.<recipe>`; then, with a base, the base's file,
`base_overrides.<base>`, `overrides.<recipe>@<base>`.
"""

import functools
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from idgen.config import Config
from idgen.errors import Exit, RunError
from idgen.installation import CONFIGS
from idgen.lru_cache import LruCache
from idgen.recipes.families import DEFAULT_FAMILY, FamilyName
from idgen.recipes.layers import Layer, changed, table
from idgen.recipes.recipe import Base, Defaults, FacePass, Licence, Recipe
from idgen.recipes.validation import check_recipe
from idgen.suggestions import suggestion, unknown_recipe
from idgen.yaml_files import explain, read_yaml

_recipes: LruCache[tuple[str, str], Recipe] = LruCache(lambda _: 1, 512)
"""Made and checked in this process, by name and settings: each takes 20 ms, and the shipped ones are 40."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BaseFile:
    """What a file of configs/bases says: a base, and what recipes on it do differently."""

    title: str = ""
    family: FamilyName = DEFAULT_FAMILY
    """Recipes whose own base is of this kind go with it."""
    base: Base = field(default_factory=Base)
    """Takes the place of the recipe's base as a whole."""
    defaults: dict[str, Any] = field(default_factory=dict)
    """Laid over the recipe's, as scheduler, steps and guidance of a distilled base."""
    face_pass: dict[str, Any] = field(default_factory=dict)
    """Laid over the recipe's, if it has one: the face is sampled again on this base."""
    licence: Licence = field(default_factory=Licence)
    """Joined with the recipe's: commercial use only where both allow it."""
    timestep_spacing: Literal["", "linspace", "leading", "trailing"] = ""
    """Takes the place of the recipe's; empty = the recipe's."""
    batch_size: int | None = None
    """Null = the recipe's."""
    seconds_per_picture: float | None = None
    """Null = the recipe's."""


def load_recipes(config: Config) -> "RecipeBook":
    """Return every recipe of the recipes folder, alone and on every base of its family, as `config` changes them.

    An override may name a new recipe or base if it says which one it is `like`. Raises RunError(USAGE) for a bad file
    or key; for a recipe on a base only when it is asked for, or overridden.
    """
    recipes = _folder(config.recipes_dir, "recipes")
    if not recipes:
        raise RunError(Exit.USAGE, f"no recipe files in {_path(config.recipes_dir, 'recipes')}: set recipes_dir")
    bases = _folder(config.bases_dir, "bases")
    for name, override in config.base_overrides.items():
        change = table(override, f"base_overrides.{name}")
        like = str(change.pop("like", name))
        if like not in bases:
            raise RunError(Exit.USAGE, f"base_overrides.{name}: no base {like!r}{suggestion(like, bases)}")
        bases[name] = changed(bases[like], change, f"base_overrides.{name}")
        _to_base_file(name, bases[name])  # raises now if it is wrong
    book = RecipeBook(recipes, bases)
    for name, override in config.overrides.items():
        book.override(name, override)
    for name in (*recipes, *config.overrides):
        book[name]  # raises now if it is wrong
    return book


class RecipeBook(Mapping[str, Recipe]):
    """Recipes by name; one on a base is made when it is first asked for, since there are as many as products."""

    def __init__(self, recipes: Mapping[str, Layer], bases: Mapping[str, Layer]) -> None:
        """Files' settings by name."""
        self._recipes, self._bases = dict(recipes), bases
        self._changes: dict[str, Layer] = {}
        self._made: dict[str, Recipe] = {}
        self._base_files: dict[str, BaseFile] = {}
        self._names = self._all_names()

    def override(self, name: str, override: object) -> None:
        """Change one recipe, alone or on a base, or make a new one that is `like` another. RunError(USAGE)."""
        change = table(override, f"overrides.{name}")
        like = str(change.pop("like", name))
        start = self.layer(like)
        if start is None:
            raise RunError(Exit.USAGE, f"overrides.{name}: no recipe {like!r}; {unknown_recipe(like, self)}")
        if "@" in name and like == name:
            self._changes[name] = change
        elif "@" in name:
            raise RunError(Exit.USAGE, f"overrides.{name}: a name with @ is a recipe on a base and takes no `like`")
        else:
            self._recipes[name] = changed(start, change, f"overrides.{name}")
        self._made.clear()
        self._names = self._all_names()

    def _all_names(self) -> dict[str, None]:
        """Every recipe, and every pair of a recipe and a base of its family."""
        pairs = [
            f"{recipe}@{base}"
            for recipe, layer in self._recipes.items()
            for base, file in self._bases.items()
            if _kind(layer) == file.get("family", BaseFile().family)
        ]
        return dict.fromkeys((*self._recipes, *pairs))

    def layer(self, name: str) -> Layer | None:
        """Return a recipe's settings before they are checked, None where there is no such recipe."""
        if name not in self:
            return None
        recipe, _, base = name.partition("@")
        if not base:
            return self._recipes[recipe]
        if base not in self._base_files:
            self._base_files[base] = _to_base_file(base, self._bases[base])
        layer = _on_base(self[recipe], self._recipes[recipe], self._base_files[base])
        return changed(layer, self._changes.get(name, {}), f"overrides.{name}")

    def __getitem__(self, name: str) -> Recipe:
        if name not in self._made:
            layer = self.layer(name)
            if layer is None:
                raise KeyError(name)
            self._made[name] = _to_recipe(name, layer)
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _path(folder: str, kind: str) -> Path:
    return Path(folder) if folder else CONFIGS / kind


def _folder(folder: str, kind: str) -> dict[str, Layer]:
    layers: dict[str, Layer] = {}
    for path in sorted(_path(folder, kind).glob("*.yaml")):
        if "@" in path.stem:
            raise RunError(Exit.USAGE, f"{path}: a file name must not contain @, which separates a recipe from a base")
        seen = path.stat()
        layers[path.stem] = dict(_file(path, seen.st_mtime_ns, seen.st_size, seen.st_ino))
    return layers


@functools.lru_cache(256)
def _file(path: Path, _mtime_ns: int, _size: int, _inode: int) -> Layer:
    """Return a file's settings, which nobody changes in place; a process that loads recipes twice reads it once."""
    layer = OmegaConf.to_container(read_yaml(path))
    assert isinstance(layer, dict)
    return {str(key): part for key, part in layer.items()}


def _kind(layer: Layer) -> str:
    base = layer.get("base")
    return str(base.get("kind", Base().kind)) if isinstance(base, Mapping) else Base().kind


def _table(layer: Layer, name: str) -> Layer:
    """Return a table inside of a layer, nothing where there is none."""
    return cast(Layer, layer.get(name) or {})


def _on_base(recipe: Recipe, layer: Layer, file: BaseFile) -> Layer:
    """Return the recipe's layer on another base."""
    made = {
        **layer,
        "title": " on ".join(filter(None, (recipe.title, file.title))),
        "base": asdict(file.base),
        "defaults": {**_table(layer, "defaults"), **file.defaults},
        "licence": asdict(_joined(recipe.licence, file.licence)),
    }
    if layer.get("face_pass") is not None:
        made["face_pass"] = {**_table(layer, "face_pass"), **file.face_pass}
    for name in ("timestep_spacing", "batch_size", "seconds_per_picture"):
        if getattr(file, name):
            made[name] = getattr(file, name)
    return made


def _joined(recipe: Licence, base: Licence) -> Licence:
    """Return what may be done with weights of both."""
    return Licence(
        name="; ".join(dict.fromkeys((recipe.name, base.name))),
        commercial_use=recipe.commercial_use and base.commercial_use,
        registration=list(dict.fromkeys((*recipe.registration, *base.registration))),
        note=" ".join(dict.fromkeys(filter(None, (recipe.note, base.note)))),
    )


@functools.cache
def _schema(kind: type) -> DictConfig:
    """Return a dataclass's fields for `merge`, which copies them; making new ones took a third of a merge."""
    schema: DictConfig = OmegaConf.structured(kind)
    return schema


def _to_base_file(name: str, layer: Layer) -> BaseFile:
    try:
        file = OmegaConf.to_object(OmegaConf.merge(_schema(BaseFile), layer))
        OmegaConf.merge(_schema(Defaults), _table(layer, "defaults"))
        OmegaConf.merge(_schema(FacePass), _table(layer, "face_pass"))
    except OmegaConfBaseException as error:
        raise RunError(Exit.USAGE, f"base {name}: {explain(error)}") from error
    assert isinstance(file, BaseFile)
    if "kind" in _table(layer, "base") and file.base.kind != file.family:
        raise RunError(Exit.USAGE, f"base {name}: base.kind is {file.base.kind}, but its family is {file.family}")
    return replace(file, base=replace(file.base, kind=file.family))


def _to_recipe(name: str, layer: Layer) -> Recipe:
    return _recipes.get_or_make((name, repr(layer)), lambda: _checked(name, layer))


def _checked(name: str, layer: Layer) -> Recipe:
    try:
        merged = OmegaConf.merge(_schema(Recipe), layer, {"name": name})
        recipe = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        raise RunError(Exit.USAGE, f"recipe {name}: {explain(error)}") from error
    assert isinstance(recipe, Recipe)
    check_recipe(recipe)
    return recipe
