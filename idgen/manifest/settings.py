"""What many rows share: recipe, size, steps, strengths. Resolved once per distinct combination of cells.

Of images (start, mask, control, picture prompt, pose) only which ones a row brings counts here; their addresses are the
row's own.

A manifest of a million rows has a handful of combinations, so rows cost little; a manifest that sets everything per row
still works, only slower. `Settings` is a row's resolved values without person, prompts, seed and names.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field

import pyarrow as pa

from idgen import values
from idgen.column import Column, Role, Scope
from idgen.columns import BY_NAME, COLUMNS, INIT_IMAGE, LOOK_IMAGE, MAP_OF, SCALE_OF
from idgen.errors import Code, RowError
from idgen.manifest.keys import canonical, canonical_float, short_hash
from idgen.manifest.rules import check_together, defaults_of
from idgen.recipes.column_rules import may_set
from idgen.recipes.recipe import Recipe
from idgen.recipes.variants import needs
from idgen.suggestions import unknown_recipe
from idgen.values import Cell

SHARED = tuple(column for column in COLUMNS if not column.is_row_by_row and column.role is not Role.RECIPE)
"""Columns that are resolved here; the recipe's own defaults pass their checks too."""

_LOADED = ("recipe", "lora_scale")
"""Columns that decide what is loaded: rows that differ in one are in other load groups, and so never in one batch."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The resolved shared part of a row."""

    recipe: Recipe
    recipe_hash: str
    columns: dict[str, Cell]
    """Resolved value by column name; null ones are left out."""
    contents: dict[str, object]
    """Its share of what the key is made of."""
    load_group: str
    bucket_name: str
    needs_face: bool
    """A face has to be found in the row's references."""
    takes_picture: bool
    """Rows may bring an ip_adapter_image_uri."""
    _buckets: dict[tuple[int, bool], str] = field(default_factory=dict)

    def bucket(self, references: int, *, picture: bool) -> str:
        """Return the bucket of a row with that many references, and with or without an ip_adapter_image_uri."""
        found = self._buckets.get((references, picture))
        if found is None:
            found = f"{self.bucket_name} r{references}" + (" picture" if picture else "")
            self._buckets[references, picture] = found
        return found


class SettingsTable:
    """Resolves combinations of cells and remembers them; errors are remembered too."""

    def __init__(
        self,
        recipes: Mapping[str, Recipe],
        recipe_hashes: Mapping[str, str],
        *,
        default_recipe: str,
        default_format: str,
        schedulers: Collection[str],
        policy: Callable[[Recipe, str], Mapping[str, object]] = lambda recipe, shot: {},
        telling_shots: Collection[str] = (),
        max_entries: int = 20_000,
    ) -> None:
        """`policy` says of a recipe and a shot what decides which of several tries is kept; {} = nothing is ever held.

        `telling_shots` are the labels that it tells apart from all others.
        """
        self._recipes = recipes
        self._recipe_hashes = recipe_hashes
        self._default_recipe = default_recipe
        self._default_format = default_format
        self._schedulers = frozenset(schedulers)
        self._max_entries = max_entries
        self._policy = policy
        self.telling_shots = frozenset(telling_shots)
        self._known: dict[tuple[tuple[Cell, ...], tuple[str, ...], str], Settings | RowError] = {}

    def get(
        self, names: Sequence[str], cells: tuple[Cell, ...], images: tuple[str, ...] = (), shot: str = ""
    ) -> Settings:
        """Return the settings of a row's shared cells; `images` are the image columns it sets, `shot` its label.

        Raises RowError, the same for the same arguments; RunError(USAGE) for a recipe whose files are wrong.
        """
        told = shot if shot in self.telling_shots else ""
        found = self._known.get((cells, images, told))
        if found is None:
            try:
                given = {name: cell for name, cell in zip(names, cells, strict=True) if cell is not None}
                found = self._resolve(given, images, told)
            except RowError as error:
                found = error
            if len(self._known) >= self._max_entries:
                self._known.clear()
            self._known[cells, images, told] = found
        if isinstance(found, RowError):
            raise RowError(found.code, found.detail)
        return found

    def _resolve(self, given: dict[str, Cell], images: tuple[str, ...], shot: str) -> Settings:
        recipe = self._recipe(given)
        for name in (*given, *images):
            if not may_set(recipe, BY_NAME[name]):
                raise RowError(Code.COLUMN_NOT_USED, f"{name}: recipe {recipe.name} cannot use it")
        for name in recipe.required_columns:
            if name not in given and name not in images:
                raise RowError(Code.MISSING_VALUE, f"{name}: recipe {recipe.name} needs it")
        defaults = {**defaults_of(recipe, given, images), "output_format": self._default_format}
        columns: dict[str, Cell] = {"recipe": recipe.name}
        for column in SHARED:
            value = given.get(column.name, defaults.get(column.name))
            if value is not None:
                columns[column.name] = column.check(column.name, value, recipe)
        if "ip_adapter_scale" in given and recipe.adapters[0].name in dict(columns.get("ip_adapter_scales") or ()):
            raise values.bad(
                "ip_adapter_scales", "names the first adapter, whose strength ip_adapter_scale already sets"
            )
        check_together(columns, recipe, images, self._schedulers)
        if "paste_back" not in defaults:
            columns.pop("paste_back", None)  # false, where nothing could be pasted
        policy = self._policy(recipe, shot)
        if columns["tries"] == 1 or not policy:
            columns.pop("tries")  # nothing is held, so that the first picture is the one
        recipe_hash = self._recipe_hashes[recipe.name]
        face_needs = needs(recipe)
        return Settings(
            recipe=recipe,
            recipe_hash=recipe_hash,
            columns=columns,
            contents={"recipe_hash": recipe_hash, **_contents(columns, recipe, policy)},
            load_group=_load_group(columns, recipe_hash),
            bucket_name=_bucket_name(columns, images),
            needs_face=face_needs.analysis,
            takes_picture=face_needs.picture_prompt and LOOK_IMAGE in recipe.columns,
        )

    def _recipe(self, given: Mapping[str, Cell]) -> Recipe:
        name = given.get("recipe", self._default_recipe)
        if not name:
            raise RowError(Code.MISSING_VALUE, "recipe: the row names none and there is no default")
        if name not in self._recipes:
            raise RowError(Code.UNKNOWN_RECIPE, f"recipe: {unknown_recipe(str(name), self._recipes)}")
        return self._recipes[name]


def _contents(columns: Mapping[str, Cell], recipe: Recipe, policy: Mapping[str, object]) -> dict[str, object]:
    contents: dict[str, object] = {}
    for name, value in columns.items():
        column = BY_NAME[name]
        if column.scope is not Scope.CARRIED and not _says_nothing(column, columns):
            contents[name] = canonical(dict(value) if pa.types.is_map(column.type) else value)
    if "face_pass" in contents and recipe.face_pass is not None:
        contents["face_pass"] = canonical(asdict(recipe.face_pass))
    if "tries" in contents:
        contents["gates"] = canonical(policy)
    return contents


def _says_nothing(column: Column, columns: Mapping[str, Cell]) -> bool:
    """Whether the picture is the same without the column."""
    neutral = columns.get(column.neutral_as) if column.neutral_as else column.neutral
    return neutral is not None and bool(columns[column.name] == neutral)


def _load_group(columns: Mapping[str, Cell], recipe_hash: str) -> str:
    lora = columns.get("lora_scale")
    return f"{columns['recipe']} {recipe_hash[:12]}" + (f" lora {canonical_float(lora)}" if lora is not None else "")


def _bucket_name(columns: Mapping[str, Cell], images: Collection[str]) -> str:
    """Return a readable name of everything that must be equal within a batch, but for the number of references.

    Which images a row brings is in it: a strength means an init image, a control's scale its control image. Not
    whether its mask is a file or the init image's transparency, and not where its face's points are from.
    """
    splits = {
        name: canonical(value)
        for name, value in columns.items()
        if BY_NAME[name].scope is Scope.BATCH and name not in _LOADED and not _says_nothing(BY_NAME[name], columns)
    }
    words = [f"{columns['width']}x{columns['height']}", str(columns["num_inference_steps"]), columns["scheduler"]]
    words.append(f"g{canonical_float(columns['guidance_scale'])}")
    words += ["init"] * (INIT_IMAGE in images)
    words += ["inpaint"] * (SCALE_OF["inpaint"] in columns)
    words += [control for control, column in MAP_OF.items() if column in images]
    words += ["face pass"] * (columns.get("face_pass") == "auto")
    return " ".join((*words, short_hash(splits)))
