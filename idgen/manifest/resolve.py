"""From manifest rows to pictures: each row becomes `num_images` rows of PICTURES, or as many refused ones.

A refused picture has status `rejected`, stage `plan`, a code, a detail that names the column, and a key of its own that
is stable over runs. Nothing here stops a run: one bad cell costs its own row.

A picture whose key has an order (idgen/reviews/orders.py) is resolved again, with the order's seed and cells.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from idgen import values
from idgen.columns import ADDRESSES, BY_NAME, IMAGES, LABELS, LOOK_IMAGE
from idgen.errors import Code, RowError
from idgen.manifest.addresses import Addresses
from idgen.manifest.keys import key_and_seed, refused_key
from idgen.manifest.names import carried_columns
from idgen.manifest.own_columns import plain_cells
from idgen.manifest.picture_tuples import ROW_FIELDS, PictureTuple, assemble, cells
from idgen.manifest.reading import POSITION
from idgen.manifest.references import images_of, reference_photos_of
from idgen.manifest.settings import Settings, SettingsTable
from idgen.recipes.recipe import Recipe
from idgen.reviews.orders import Orders
from idgen.values import Cell

_IDS = ("row_id", *LABELS)
_ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str).encode
_ID = BY_NAME["row_id"]
_NO_RECIPE = Recipe()  # checks that ask nothing of the recipe


@dataclass(frozen=True, slots=True)
class _Cells:
    """One manifest row."""

    position: int
    shared: tuple[Cell, ...]
    """Of the columns that many rows share."""
    given: dict[str, Cell]
    """The others, without nulls."""
    carried: str


@dataclass(frozen=True, slots=True)
class _Change:
    """What makes one picture of a row another one than its manifest asks for."""

    image_index: int
    seed: int
    replaces: str


class Resolver:
    """Resolves batches of one manifest; remembers shared settings from batch to batch."""

    def __init__(
        self, names: Sequence[str], table: SettingsTable, addresses: Addresses, orders: Orders | None = None
    ) -> None:
        """`names` are the manifest's columns; `orders` say which pictures are asked for in another way."""
        self._table = table
        self._addresses = addresses
        self._orders = orders or {}
        self._named = frozenset(names)
        ordered = sorted({name for order in self._orders.values() for name in order.cells} - self._named)
        known = [name for name in (*names, *ordered) if name in BY_NAME]
        self._shared = [name for name in known if not BY_NAME[name].is_row_by_row]
        self._own = [name for name in known if BY_NAME[name].is_row_by_row]
        self._images = [name for name in names if name in IMAGES]
        self._fields = (*ROW_FIELDS, *self._images)
        self._no_images = (None,) * len(self._images)
        self._carried = carried_columns(names)
        self.replaced: dict[str, str] = {}
        """Key of a picture that has an order -> key of what is asked for now in its place; fills with `resolve`."""

    def resolve(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return PICTURES rows (`attempt` 1, `row_id` = key where absent) in row order.

        `batch` holds the manifest's columns and POSITION.
        """
        distinct: dict[int, int] = {}  # id of a Settings -> its row in `wide`
        wide: list[dict[str, object]] = [{}]  # row 0: nothing, for refused pictures
        alive: list[Settings] = []  # ids stay unique while these live
        rows: list[PictureTuple] = []
        places: list[int] = []

        def place_of(settings: Settings | None) -> int:
            """Return the row of `wide` that holds these settings."""
            if settings is None:
                return 0
            place = distinct.setdefault(id(settings), len(wide))
            if place == len(wide):
                wide.append(settings.columns)
                alive.append(settings)
            return place

        for cells_of_row in self._rows(batch):
            made, settings = self._asked(cells_of_row)
            places += [place_of(settings)] * len(made)
            rows += made
            for at in self._ordered(rows, len(made)):
                rows[at], settings = self._replacement(cells_of_row, rows[at])
                places[at] = place_of(settings)
        return assemble(self._fields, rows, wide, places)

    def _rows(self, batch: pa.RecordBatch) -> Iterator[_Cells]:
        """Yield the batch's rows; a column that only an order has is null in all of them."""
        nothing = [None] * batch.num_rows
        shared_columns, own_columns = (
            [cells(batch.column(name), name) if name in self._named else nothing for name in names]
            for names in (self._shared, self._own)
        )
        shared = zip(*shared_columns, strict=True) if self._shared else [()] * batch.num_rows
        own = zip(*own_columns, strict=True) if self._own else [()] * batch.num_rows
        positions = batch.column(POSITION).to_pylist()
        for position, shared_row, own_row, carry in zip(
            positions, shared, own, self._carried_texts(batch), strict=True
        ):
            given = {name: cell for name, cell in zip(self._own, own_row, strict=True) if cell is not None}
            yield _Cells(position, shared_row, given, carry)

    def _asked(self, row: _Cells, change: _Change | None = None) -> tuple[list[PictureTuple], Settings | None]:
        """Return the row's pictures and their settings, or as many refused ones and None; with `change` only one."""
        try:
            images = tuple(name for name in self._images if name in row.given) if self._images else ()
            settings = self._table.get(self._shared, row.shared, images, self._shot(row.given))
            return self._pictures(row, settings, change), settings
        except RowError as error:
            return self._refused(row, error, change), None

    def _shot(self, given: Mapping[str, Cell]) -> str:
        """Return the row's label where labels decide something."""
        if not self._table.telling_shots or "shot" not in given:
            return ""
        return str(self._addresses.clean(_checked("shot", given["shot"])))

    def _ordered(self, rows: list[PictureTuple], last: int) -> list[int]:
        """Return where among the `last` rows pictures stand that have an order."""
        if not self._orders:
            return []
        return [at for at in range(len(rows) - last, len(rows)) if rows[at][0] in self._orders]

    def _replacement(self, row: _Cells, asked: PictureTuple) -> tuple[PictureTuple, Settings | None]:
        """Return what is asked for in the place of a picture that has an order, and its settings.

        What takes its place may have an order as well; cells of earlier orders stay.
        """
        key, image_index, shared, given = str(asked[0]), int(str(asked[2])), list(row.shared), dict(row.given)
        settings: Settings | None = None
        seen: set[str] = set()
        while (order := self._orders.get(key)) is not None and key not in seen:
            seen.add(key)
            for name, cell in order.cells.items():
                if name in self._shared:
                    shared[self._shared.index(name)] = cell
                elif cell is None:
                    given.pop(name, None)
                else:
                    given[name] = cell
            changed = _Cells(row.position, tuple(shared), given, row.carried)
            (asked,), settings = self._asked(changed, _Change(image_index, order.seed, key))
            key = str(asked[0])
        self.replaced.update(dict.fromkeys(seen, key))
        return asked, settings

    def _pictures(self, row: _Cells, settings: Settings, change: _Change | None) -> list[PictureTuple]:
        recipe, given = settings.recipe, row.given
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
        for index in range(count) if change is None else (change.image_index,):
            contents["image_index"] = index
            seed = change.seed if change else None if first_seed is None else first_seed + index
            if seed is not None:
                contents["seed"] = seed
            key, own_seed = key_and_seed(contents)
            rows.append(
                (
                    key, row.position, index, settings.load_group, bucket, recipe.name, settings.recipe_hash,
                    row.carried, "", "", "", "", row_id or key, person.uris, person.sha256, prompt, negative, count,
                    own_seed if seed is None else seed, name, change.replaces if change else "",
                    *labels, *own_images,
                )
            )  # fmt: skip
        return rows

    def _refused(self, row: _Cells, error: RowError, change: _Change | None) -> list[PictureTuple]:
        given = row.given
        try:
            count = _checked("num_images", given.get("num_images", 1))
        except RowError:
            count = 1
        raw = {name: cell for name, cell in zip(self._shared, row.shared, strict=True) if cell is not None} | given
        stable = {name: self._redacted_cell(name, cell) for name, cell in raw.items()}
        row_id, *labels = (self._addresses.clean(_plain(name, given.get(name))) for name in _IDS)
        rows = []
        for index in range(count) if change is None else (change.image_index,):
            key = refused_key(stable, index)
            rows.append(
                (
                    key, row.position, index, "", "", _plain("recipe", raw.get("recipe")), "", row.carried,
                    error.status, str(error.code), error.detail, "plan", row_id or key, None, None, None, None, count,
                    None, None, change.replaces if change else "", *labels, *self._no_images,
                )
            )  # fmt: skip
        return rows

    def _redacted_cell(self, name: str, cell: Cell) -> Cell:
        """Signed addresses change every night, the refusal must not."""
        is_list = name in ADDRESSES and pa.types.is_list(BY_NAME[name].type)
        if name in _IDS or (is_list and isinstance(cell, str)):
            return self._addresses.stable(cell) if isinstance(cell, str) else self._addresses.clean(cell)
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


def _checked(name: str, cell: Cell, recipe: Recipe = _NO_RECIPE) -> Cell:
    """Return a cell as its column's check makes it. Raises RowError(BAD_VALUE)."""
    return BY_NAME[name].check(name, cell, recipe)


def _plain(name: str, cell: Cell) -> str | None:
    """Return an id, or the recipe's name, of a refused row when it is fit for a ledger."""
    try:
        return str(_ID.check(name, cell, _NO_RECIPE)) if cell is not None else None
    except RowError:
        return None
