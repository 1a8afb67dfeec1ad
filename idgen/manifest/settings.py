"""What many rows share: recipe, size, steps, strengths. Resolved once per distinct combination of cells.

A manifest of a million rows has a handful of combinations, so rows cost little; a manifest that sets everything per row
still works, only slower. `Settings` is a row's resolved values without person, prompts, seed and names.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from idgen.errors import Code, RowError
from idgen.manifest import values
from idgen.manifest.columns import BY_NAME
from idgen.manifest.keys import canonical, canonical_float, short_hash
from idgen.manifest.places import Places
from idgen.manifest.values import Cell, Check
from idgen.recipes import Recipe
from idgen.sampling.scheduler_names import MAX_STEPS, SCHEDULERS

PER_ROW = frozenset(
    {
        "row_id", "reference_uri", "reference_uris", "reference_sha256", "prompt", "negative_prompt", "num_images",
        "seed", "sku", "person_id", "shot", "output_name",
    }
)  # fmt: skip
"""Columns that resolve.py handles row by row."""

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
    "face_keypoints": values.numbers(10, 0.0, 1.0),
    "face_angle_deg": values.number(-180.0, 180.0),
    "face_fit": values.one_of("fit", "cover", "place"),
    "face_pass": values.one_of("off", "auto"),
    "mask_mode": values.one_of("repaint_white", "keep_white"),
    "strength": values.number(0.01, 1.0),
    "paste_back": values.boolean,
    "output_format": values.one_of(*values.FORMATS),
    **{name: values.uri for name in BY_NAME if name.endswith("_uri") and name not in PER_ROW},
    **{f"control_{kind}_scale": _SCALE for kind in ("pose", "depth", "canny", "softedge")},
}
"""How each shared column is checked; the recipe's own defaults pass the same checks."""


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
    _buckets: dict[int, str] = field(default_factory=dict)

    def bucket(self, references: int) -> str:
        """Return the bucket of a row with that many references."""
        return self._buckets.setdefault(references, f"{self.bucket_name} r{references}")


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
        places: Places,
        max_entries: int = 20_000,
    ) -> None:
        self._recipes = recipes
        self._recipe_hashes = recipe_hashes
        self._default_recipe = default_recipe
        self._default_format = default_format
        self._schedulers = frozenset(schedulers)
        self._places = places
        self._max_entries = max_entries
        self._known: dict[tuple[Cell, ...], Settings | RowError] = {}

    def get(self, names: Sequence[str], cells: tuple[Cell, ...]) -> Settings:
        """Return the settings of a row's shared cells. Raises RowError, the same for the same cells."""
        found = self._known.get(cells)
        if found is None:
            try:
                found = self._resolve({name: cell for name, cell in zip(names, cells, strict=True) if cell is not None})
            except RowError as error:
                found = error
            if len(self._known) >= self._max_entries:
                self._known.clear()
            self._known[cells] = found
        if isinstance(found, RowError):
            raise RowError(found.code, found.detail)
        return found

    def _resolve(self, given: dict[str, Cell]) -> Settings:
        recipe = self._recipe(given)
        for name in given:
            if not BY_NAME[name].common and name not in recipe.columns:
                raise RowError(Code.COLUMN_NOT_USED, f"{name}: recipe {recipe.name} cannot use it")
        defaults = {**asdict(recipe.defaults), "output_format": self._default_format}
        columns: dict[str, Any] = {"recipe": recipe.name}
        for name, check in CHECKS.items():
            value = given.get(name, defaults.get(name))
            if value is not None:
                columns[name] = check(name, value, recipe)
                if name.endswith("_uri"):
                    columns[name] = self._places.absolute(columns[name])
        self._check_together(columns)
        recipe_hash = self._recipe_hashes[recipe.name]
        return Settings(
            recipe, recipe_hash, columns, self._contents(columns, recipe_hash), _load_group(columns, recipe_hash),
            _bucket_name(columns),
        )  # fmt: skip

    def _recipe(self, given: Mapping[str, Cell]) -> Recipe:
        name = given.get("recipe", self._default_recipe)
        if not name:
            raise RowError(Code.MISSING_VALUE, "recipe: the row names none and there is no default")
        if name not in self._recipes:
            raise RowError(Code.UNKNOWN_RECIPE, f"recipe: there are {', '.join(sorted(self._recipes))}")
        return self._recipes[name]

    def _check_together(self, columns: Mapping[str, Any]) -> None:
        if columns["scheduler"] not in self._schedulers:
            raise values.bad("scheduler", f"must be one of {', '.join(sorted(self._schedulers))}")
        spec = SCHEDULERS.get(columns["scheduler"])
        if spec is not None and columns["num_inference_steps"] > spec.max_steps:
            raise values.bad("num_inference_steps", f"{columns['scheduler']} does at most {spec.max_steps}")
        if columns.get("control_guidance_start", 0.0) >= columns.get("control_guidance_end", 1.0):
            raise values.bad("control_guidance_start", "must be less than control_guidance_end")

    def _contents(self, columns: Mapping[str, Any], recipe_hash: str) -> dict[str, Any]:
        contents: dict[str, Any] = {"recipe_hash": recipe_hash}
        for name, value in columns.items():
            if BY_NAME[name].part == "-":
                continue
            if name.endswith("_uri"):
                contents[name] = self._places.redacted(value)
            else:
                contents[name] = canonical(dict(value) if name == "ip_adapter_scales" else value)
        return contents


def _load_group(columns: Mapping[str, Any], recipe_hash: str) -> str:
    lora = columns.get("lora_scale")
    return f"{columns['recipe']} {recipe_hash[:12]}" + (f" lora {canonical_float(lora)}" if lora is not None else "")


def _bucket_name(columns: Mapping[str, Any]) -> str:
    """Return a readable name of everything that must be equal within a batch, but for the number of references."""
    splits = {
        name: canonical(value)
        for name, value in columns.items()
        if BY_NAME[name].part == "B" and name not in ("recipe", "lora_scale")
    }
    return (
        f"{columns['width']}x{columns['height']} {columns['num_inference_steps']} {columns['scheduler']}"
        f" g{canonical_float(columns['guidance_scale'])} {short_hash(splits)}"
    )
