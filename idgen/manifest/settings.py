"""What many rows share: recipe, size, steps, strengths. Resolved once per distinct combination of cells.

Of images (start, mask, control, picture prompt, pose) only which ones a row brings counts here; their addresses are the
row's own.

A manifest of a million rows has a handful of combinations, so rows cost little; a manifest that sets everything per row
still works, only slower. `Settings` is a row's resolved values without person, prompts, seed and names.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from idgen.errors import Code, RowError
from idgen.manifest import values
from idgen.manifest.columns import BY_NAME, CONTROLS, IMAGES, TOLD_SIZES
from idgen.manifest.keys import canonical, canonical_float, short_hash
from idgen.manifest.rules import check_together, defaults_of
from idgen.manifest.values import Cell, Check
from idgen.recipes.recipe import Recipe
from idgen.recipes.schedulers import MAX_STEPS
from idgen.recipes.variants import needs
from idgen.suggestions import unknown_recipe

PER_ROW = frozenset(
    {
        "row_id", "reference_uri", "reference_uris", "reference_sha256", "prompt", "negative_prompt", "num_images",
        "seed", "sku", "person_id", "shot", "output_name", *IMAGES,
    }
)  # fmt: skip
"""Columns that resolve.py handles row by row."""

MAX_TOLD_PX = 16_384
"""Of sizes that the nets are told of: more than a camera's photos have."""
_SCALE = values.number(0.0, 10.0)
_SHARE = values.number(0.0, 1.0)

CHECKS: dict[str, Check] = {
    "face_select": values.face_select,
    "width": values.side,
    "height": values.side,
    "num_inference_steps": values.whole_number(1, MAX_STEPS),
    "scheduler": values.text(64),
    "guidance_scale": values.number(0.0, 100.0),
    "ip_adapter_scale": _SCALE,
    "shortcut_scale": _SCALE,
    "ip_adapter_scales": values.scales,
    "lora_scale": _SCALE,
    "controlnet_conditioning_scale": _SCALE,
    "control_guidance_start": _SHARE,
    "control_guidance_end": _SHARE,
    "face_box": values.box,
    "face_keypoints": values.shares(10, -0.5, 1.5),
    "face_angle_deg": values.number(-180.0, 180.0),
    "face_fit": values.one_of("fit", "cover", "place"),
    "face_pass": values.one_of("off", "auto"),
    "mask_mode": values.one_of("repaint_white", "keep_white"),
    "strength": values.number(0.01, 1.0),
    "paste_back": values.boolean,
    "output_format": values.one_of(*values.FORMATS),
    **{f"control_{kind}_scale": _SCALE for kind in ("inpaint", *CONTROLS)},
    **{name: values.whole_number(1 if side else 0, MAX_TOLD_PX) for name, side in TOLD_SIZES.items()},
}
"""How each shared column is checked; the recipe's own defaults pass the same checks. Of a face that is cut off some
points lie outside the picture; that all of them do is found where it is drawn (faces/keypoints.py)."""

_SAYS_NOTHING = {"face_pass": "off", "paste_back": False}
"""Values that leave the picture as it is without the column, so that they leave the key as it is too."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The resolved shared part of a row."""

    recipe: Recipe
    recipe_hash: str
    columns: dict[str, Any]
    """Resolved value by column name; null ones are left out."""
    contents: dict[str, Any]
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
        max_entries: int = 20_000,
    ) -> None:
        self._recipes = recipes
        self._recipe_hashes = recipe_hashes
        self._default_recipe = default_recipe
        self._default_format = default_format
        self._schedulers = frozenset(schedulers)
        self._max_entries = max_entries
        self._known: dict[tuple[tuple[Cell, ...], tuple[str, ...]], Settings | RowError] = {}

    def get(self, names: Sequence[str], cells: tuple[Cell, ...], images: tuple[str, ...] = ()) -> Settings:
        """Return the settings of a row's shared cells; `images` are the image columns it sets.

        Raises RowError, the same for the same arguments; RunError(USAGE) for a recipe whose files are wrong.
        """
        found = self._known.get((cells, images))
        if found is None:
            try:
                given = {name: cell for name, cell in zip(names, cells, strict=True) if cell is not None}
                found = self._resolve(given, images)
            except RowError as error:
                found = error
            if len(self._known) >= self._max_entries:
                self._known.clear()
            self._known[cells, images] = found
        if isinstance(found, RowError):
            raise RowError(found.code, found.detail)
        return found

    def _resolve(self, given: dict[str, Cell], images: tuple[str, ...]) -> Settings:
        recipe = self._recipe(given)
        for name in (*given, *images):
            if not BY_NAME[name].common and name not in recipe.columns:
                raise RowError(Code.COLUMN_NOT_USED, f"{name}: recipe {recipe.name} cannot use it")
        for name in recipe.required_columns:
            if name not in given and name not in images:
                raise RowError(Code.MISSING_VALUE, f"{name}: recipe {recipe.name} needs it")
        defaults = {**defaults_of(recipe, given, images), "output_format": self._default_format}
        columns: dict[str, Any] = {"recipe": recipe.name}
        for name, check in CHECKS.items():
            value = given.get(name, defaults.get(name))
            if value is not None:
                columns[name] = check(name, value, recipe)
        if "ip_adapter_scale" in given and recipe.adapters[0].name in dict(columns.get("ip_adapter_scales") or ()):
            raise values.bad(
                "ip_adapter_scales", "names the first adapter, whose strength ip_adapter_scale gives as well"
            )
        check_together(columns, recipe, images, self._schedulers)
        if "paste_back" not in defaults:
            columns.pop("paste_back", None)  # false, where nothing could be pasted
        recipe_hash = self._recipe_hashes[recipe.name]
        face_needs = needs(recipe)
        return Settings(
            recipe=recipe,
            recipe_hash=recipe_hash,
            columns=columns,
            contents={"recipe_hash": recipe_hash, **_contents(columns, recipe)},
            load_group=_load_group(columns, recipe_hash),
            bucket_name=_bucket_name(columns, images),
            needs_face=face_needs.analysis,
            takes_picture=face_needs.picture_prompt and "ip_adapter_image_uri" in recipe.columns,
        )

    def _recipe(self, given: Mapping[str, Cell]) -> Recipe:
        name = given.get("recipe", self._default_recipe)
        if not name:
            raise RowError(Code.MISSING_VALUE, "recipe: the row names none and there is no default")
        if name not in self._recipes:
            raise RowError(Code.UNKNOWN_RECIPE, f"recipe: {unknown_recipe(str(name), self._recipes)}")
        return self._recipes[name]


def _contents(columns: Mapping[str, Any], recipe: Recipe) -> dict[str, Any]:
    contents: dict[str, Any] = {}
    for name, value in columns.items():
        if BY_NAME[name].part != "-" and not _says_nothing(name, columns):
            contents[name] = canonical(dict(value) if name == "ip_adapter_scales" else value)
    if "face_pass" in contents and recipe.face_pass is not None:
        contents["face_pass"] = canonical(asdict(recipe.face_pass))
    return contents


def _says_nothing(name: str, columns: Mapping[str, Any]) -> bool:
    """Whether the picture is the same without the column; of told sizes also those that the picture has anyway."""
    if name in TOLD_SIZES:
        return bool(columns[name] == columns.get(TOLD_SIZES[name], 0))
    return bool(columns[name] == _SAYS_NOTHING.get(name))


def _load_group(columns: Mapping[str, Any], recipe_hash: str) -> str:
    lora = columns.get("lora_scale")
    return f"{columns['recipe']} {recipe_hash[:12]}" + (f" lora {canonical_float(lora)}" if lora is not None else "")


def _bucket_name(columns: Mapping[str, Any], images: Collection[str]) -> str:
    """Return a readable name of everything that must be equal within a batch, but for the number of references.

    Which images a row brings is in it: a strength means an init image, a control's scale its control image. Not
    whether its mask is a file or the init image's transparency, and not where its face's points are from.
    """
    splits = {
        name: canonical(value)
        for name, value in columns.items()
        if BY_NAME[name].part == "B" and name not in ("recipe", "lora_scale") and not _says_nothing(name, columns)
    }
    words = [f"{columns['width']}x{columns['height']}", str(columns["num_inference_steps"]), columns["scheduler"]]
    words.append(f"g{canonical_float(columns['guidance_scale'])}")
    words += ["init"] * ("init_image_uri" in images)
    words += ["inpaint"] * ("control_inpaint_scale" in columns)
    words += [kind for kind in CONTROLS if f"control_{kind}_uri" in images]
    words += ["face pass"] * (columns.get("face_pass") == "auto")
    return " ".join((*words, short_hash(splits)))
