"""From manifest rows to pictures: each row becomes `num_images` rows of PICTURES, or as many refused ones.

A refused picture has status `rejected`, stage `plan`, a code, a detail that names the column, and a key of its own that
is stable over runs. Nothing here stops a run: one bad cell costs its own row.
"""

import json
from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.types as pt

from idgen import values
from idgen.columns import ADDRESSES, BY_NAME, IMAGES, LABELS, LOOK_IMAGE
from idgen.errors import Code, RowError
from idgen.manifest.addresses import Addresses
from idgen.manifest.keys import key_and_seed, refused_key
from idgen.manifest.names import carried_columns
from idgen.manifest.own_columns import plain_cells
from idgen.manifest.reading import POSITION
from idgen.manifest.references import images_of, reference_photos_of
from idgen.manifest.settings import Settings, SettingsTable
from idgen.recipes.recipe import Recipe
from idgen.schemas import PICTURES
from idgen.values import Cell

_IDS = ("row_id", *LABELS)
_EMPTY_IS_TEXT = frozenset({"prompt", "negative_prompt"})
_ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str).encode
_ROW_FIELDS = (
    "key", "position", "image_index", "load_group", "bucket", "recipe", "recipe_hash", "carried", "status", "code",
    "detail", "stage", "row_id", "reference_uris", "reference_sha256", "prompt", "negative_prompt", "num_images",
    "seed", "output_name", *LABELS,
)  # fmt: skip
_SHARED_FIELDS = [field for field in PICTURES if field.name in BY_NAME and field.name not in _ROW_FIELDS]
_SHARED_NAMES = [field.name for field in _SHARED_FIELDS]
_WIDE = pa.schema(_SHARED_FIELDS)
_ID = BY_NAME["row_id"]
_NO_RECIPE = Recipe()  # checks that ask nothing of the recipe

_Row = tuple[object, ...]


class Resolver:
    """Resolves batches of one manifest; remembers shared settings from batch to batch."""

    def __init__(self, names: Sequence[str], table: SettingsTable, addresses: Addresses) -> None:
        """`names` are the manifest's columns."""
        self._table = table
        self._addresses = addresses
        self._shared = [name for name in names if name in BY_NAME and not BY_NAME[name].is_row_by_row]
        self._own = [name for name in names if name in BY_NAME and BY_NAME[name].is_row_by_row]
        self._images = [name for name in names if name in IMAGES]
        self._fields = (*_ROW_FIELDS, *self._images)
        self._no_images = (None,) * len(self._images)
        self._carried = carried_columns(names)

    def resolve(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return PICTURES rows (`attempt` 1, `row_id` = key where absent) in row order.

        `batch` holds the manifest's columns and POSITION.
        """
        shared_cells = zip(*(cells(batch.column(name), name) for name in self._shared), strict=True)
        shared = list(shared_cells) if self._shared else [()] * batch.num_rows
        own_columns = [cells(batch.column(name), name) for name in self._own]
        own = list(zip(*own_columns, strict=True)) if self._own else [()] * batch.num_rows
        carried = self._carried_texts(batch)
        distinct: dict[int, int] = {}  # id of a Settings -> its row in `wide`
        wide: list[dict[str, object]] = [{}]  # row 0: nothing, for refused pictures
        alive: list[Settings] = []  # ids stay unique while these live
        rows: list[_Row] = []
        places: list[int] = []
        for position, shared_row, own_row, carry in zip(
            batch.column(POSITION).to_pylist(), shared, own, carried, strict=True
        ):
            given = {name: cell for name, cell in zip(self._own, own_row, strict=True) if cell is not None}
            try:
                images = tuple(name for name in self._images if name in given) if self._images else ()
                settings = self._table.get(self._shared, shared_row, images)
                made = self._pictures(given, settings, position, carry)
                place = distinct.setdefault(id(settings), len(wide))
                if place == len(wide):
                    wide.append(settings.columns)
                    alive.append(settings)
            except RowError as error:
                made = self._refused(given, shared_row, error, position, carry)
                place = 0
            rows += made
            places += [place] * len(made)
        return _assemble(self._fields, rows, wide, places)

    def _pictures(self, given: dict[str, Cell], settings: Settings, position: int, carried: str) -> list[_Row]:
        recipe = settings.recipe
        count = _checked("num_images", given.get("num_images", 1), recipe)
        person = reference_photos_of(given, settings, self._addresses)
        images = images_of(given, self._images, settings, self._addresses)
        prompt = _checked("prompt", given.get("prompt", recipe.defaults.prompt), recipe)
        if not prompt.strip() and recipe.prompt_required:
            raise RowError(Code.MISSING_VALUE, f"prompt: recipe {recipe.name} needs a prompt")
        negative = given.get("negative_prompt", recipe.defaults.negative_prompt)
        if negative is not None:
            negative = _checked("negative_prompt", negative, recipe)
        first_seed = _checked("seed", given["seed"], recipe) if "seed" in given else None
        if first_seed is not None and first_seed + count - 1 > values.MAX_SEED:
            raise values.bad("seed", "is too large for num_images")
        row_id, *labels = self._ids(given)
        name = _checked("output_name", given["output_name"], recipe) if "output_name" in given else None
        contents = {**settings.contents, "prompt": prompt}
        if negative is not None:  # no text at all is not the empty text
            contents["negative_prompt"] = negative
        contents["reference_sha256" if person.sha256 else "reference_uris"] = person.contents
        contents.update((image, self._addresses.redacted(uri)) for image, uri in images.items())
        own_images = tuple(images.get(image) for image in self._images)
        bucket = settings.bucket(len(person.uris), picture=LOOK_IMAGE in images)
        rows = []
        for index in range(count):
            contents["image_index"] = index
            if first_seed is not None:
                contents["seed"] = first_seed + index
            key, own_seed = key_and_seed(contents)
            rows.append(
                (
                    key, position, index, settings.load_group, bucket, recipe.name, settings.recipe_hash, carried,
                    "", "", "", "", row_id or key, person.uris, person.sha256, prompt, negative, count,
                    own_seed if first_seed is None else first_seed + index, name,
                    *labels, *own_images,
                )
            )  # fmt: skip
        return rows

    def _refused(
        self, given: dict[str, Cell], shared_row: tuple[Cell, ...], error: RowError, position: int, carried: str
    ) -> list[_Row]:
        try:
            count = _checked("num_images", given.get("num_images", 1))
        except RowError:
            count = 1
        raw = {name: cell for name, cell in zip(self._shared, shared_row, strict=True) if cell is not None} | given
        stable = {name: self._redacted_cell(name, cell) for name, cell in raw.items()}
        row_id, *labels = (self._addresses.clean(_plain(name, given.get(name))) for name in _IDS)
        rows = []
        for index in range(count):
            key = refused_key(stable, index)
            rows.append(
                (
                    key, position, index, "", "", _plain("recipe", raw.get("recipe")), "", carried,
                    error.status, str(error.code), error.detail, "plan", row_id or key, None, None, None, None, count,
                    None, None, *labels, *self._no_images,
                )
            )  # fmt: skip
        return rows

    def _redacted_cell(self, name: str, cell: Cell) -> Cell:
        """Signed addresses change every night, the refusal must not."""
        is_list = name in ADDRESSES and pa.types.is_list(BY_NAME[name].type)
        if name in _IDS or (is_list and isinstance(cell, str)):
            return self._addresses.clean(cell)
        if name not in ADDRESSES:
            return cell
        parts = [cell] if isinstance(cell, str) else cell
        return [self._addresses.redacted(part) if isinstance(part, str) else part for part in parts]

    def _ids(self, given: Mapping[str, Cell]) -> tuple[str | None, ...]:
        return tuple(self._addresses.clean(_checked(name, given[name])) if name in given else None for name in _IDS)

    def _carried_texts(self, batch: pa.RecordBatch) -> Iterator[str]:
        """Yield one JSON object per row: the shop's own columns, without nulls and signatures."""
        if not self._carried:
            yield from ["{}"] * batch.num_rows
            return
        columns = [plain_cells(batch.column(name)) for name in self._carried]
        for row in zip(*columns, strict=True):
            given = zip(self._carried, row, strict=True)
            yield _ENCODE({name: self._jsonable(cell) for name, cell in given if cell is not None})

    def _jsonable(self, cell: Cell) -> Cell:
        if isinstance(cell, float):
            return cell if abs(cell) < float("inf") else str(cell)
        return self._addresses.clean(cell)


def cells(column: pa.Array, name: str) -> list[Cell]:
    """Return a column as Python values that can be dictionary keys; empty text is null, except in prompts."""
    if pt.is_string(column.type) or pt.is_large_string(column.type):
        found = column.to_numpy(zero_copy_only=False).tolist()
        return found if name in _EMPTY_IS_TEXT else [cell or None for cell in found]
    if pt.is_nested(column.type):
        return [_frozen(cell) for cell in column.to_pylist()]
    listed: list[Cell] = column.to_pylist()
    return listed


def _frozen(cell: Cell) -> Cell:
    """Return a nested cell as tuples, at every depth; empty ones are null."""
    if isinstance(cell, dict):
        return tuple((name, _frozen(part)) for name, part in sorted(cell.items()) if part is not None) or None
    return tuple(_frozen(part) for part in cell) or None if isinstance(cell, list | tuple) else cell


def _checked(name: str, cell: Cell, recipe: Recipe = _NO_RECIPE) -> Cell:
    """Return a cell as its column's check makes it. Raises RowError(BAD_VALUE)."""
    return BY_NAME[name].check(name, cell, recipe)


def _plain(name: str, cell: Cell) -> str | None:
    """Return an id, or the recipe's name, of a refused row when it is fit for a ledger."""
    try:
        return str(_ID.check(name, cell, _NO_RECIPE)) if cell is not None else None
    except RowError:
        return None


def _assemble(
    fields: Sequence[str], rows: list[_Row], wide: list[dict[str, object]], places: list[int]
) -> pa.RecordBatch:
    """Join the per-row fields with the shared ones, which are built once and repeated by `take`."""
    by_name = dict(zip(fields, zip(*rows, strict=True) if rows else [()] * len(fields), strict=True))
    records = [{name: row.get(name) for name in _SHARED_NAMES} for row in wide]
    shared = pa.RecordBatch.from_pylist(records, schema=_WIDE).take(pa.array(places, pa.int32()))
    arrays = []
    for field in PICTURES:
        if field.name in by_name:
            arrays.append(pa.array(by_name[field.name], field.type))
        elif field.name in _SHARED_NAMES:
            arrays.append(shared.column(field.name))
        elif field.name == "attempt":
            arrays.append(pa.array([1], pa.int32()).take(pa.array([0] * len(rows), pa.int32())))
        else:
            arrays.append(pa.array([""] * len(rows), field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=PICTURES)
