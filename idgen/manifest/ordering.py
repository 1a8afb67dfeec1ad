"""Orders other pictures in the place of rejected ones: `rerun rerun.decision=rejected`.

Which pictures: those that the manifest asks for (after select.*) and whose newest decision is a rejection. One that has
an order already is asked for as what took its place, and so is only ordered again when that was rejected too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from idgen.column import Role, Scope
from idgen.columns import BY_NAME, COLUMNS
from idgen.errors import Exit, RowError, RunError
from idgen.manifest.database import open_database
from idgen.manifest.files import BATCH_ROWS
from idgen.manifest.keys import replacement_seed
from idgen.manifest.reading import POSITION, StagedManifest
from idgen.manifest.resolve import Resolver
from idgen.recipes.recipe import Recipe
from idgen.reviews.decisions import REJECTED, newest_decisions
from idgen.reviews.orders import Order, Orders
from idgen.stores.protocol import ObjectStore
from idgen.suggestions import suggestion

_EMPTY_IS_TEXT = ("prompt", "negative_prompt")
_NO_RECIPE = Recipe()  # checks that ask nothing of the recipe


@dataclass(frozen=True, slots=True)
class NewOrder:
    """An order, and one of the manifest's rows that it is for."""

    order: Order
    position: int
    row_id: str


def settable() -> tuple[str, ...]:
    """Return the columns that `rerun.set` may change: they decide pixels, and are neither the seed nor an address.

    An address belongs into the manifest: orders are kept, and it may hold a signature.
    """
    return tuple(
        column.name
        for column in COLUMNS
        if column.scope is not Scope.CARRIED
        and not column.holds_addresses
        and column.role is not Role.PHOTO
        and column.name != "seed"
    )


def checked_cells(given: Mapping[str, str]) -> dict[str, str | None]:
    """Return `rerun.set` as cells of orders; empty text is null but in prompts. Raises RunError(USAGE)."""
    cells: dict[str, str | None] = {}
    for name, text in given.items():
        if name not in settable():
            raise RunError(Exit.USAGE, f"rerun.set.{name}: {_why_not(name)}")
        cell = text if text or name in _EMPTY_IS_TEXT else None
        if cell is not None:
            try:
                BY_NAME[name].check(name, cell, _NO_RECIPE)
            except RowError as error:
                raise RunError(Exit.USAGE, f"rerun.set.{name}: {error.detail}") from None
        cells[name] = cell
    return cells


def _why_not(name: str) -> str:
    if name == "seed":
        return "every picture gets a new seed of its own; it follows from the rejected picture's key"
    if name not in BY_NAME:
        return f"there is no such column{suggestion(name, settable())}"
    if BY_NAME[name].scope is Scope.CARRIED:
        return "it decides no pixels; change it in the manifest"
    return "change it in the manifest, which makes other pictures of its rows"


def find_orders(
    connection: duckdb.DuckDBPyConnection, decisions: pa.Table, cells: Mapping[str, str | None], limit: int
) -> list[NewOrder]:
    """Return what to order of table `asked`, of its first `limit` pictures (0 = all); needs table `past` (judge).

    With `cells`, a picture in the place of a rejected one that could not be made so far is ordered anew with them.
    """
    connection.register("decided", decisions)
    rejected = f"(SELECT key FROM decided WHERE decision = '{REJECTED}')"
    settled = "('ok')" if cells else "('ok', 'rejected')"
    found = connection.execute(f"""
        SELECT CASE WHEN key IN {rejected} THEN key WHEN {bool(cells)} AND replaces IN {rejected} THEN replaces END,
            position, row_id
        FROM asked LEFT JOIN past USING (key)
        WHERE asked.code = '' AND (key IN {rejected} OR (replaces <> '' AND coalesce(status, '') NOT IN {settled}))
        ORDER BY ordinal {f"LIMIT {int(limit)}" if limit else ""}""").fetchall()
    connection.unregister("decided")
    made: dict[str, NewOrder] = {}
    for old_key, position, row_id in found:
        if old_key:
            made.setdefault(old_key, NewOrder(Order(old_key, replacement_seed(old_key), cells), position, row_id))
    return list(made.values())


def check_orders(new: list[NewOrder], staged: StagedManifest, resolver: Resolver) -> None:
    """Raise RunError(USAGE) when a row cannot be made with its new order; `resolver` follows the new ones.

    Nothing is written then: an order that no row can follow would cost its picture every night.
    """
    keys = {one.order.old_key for one in new}
    chosen = pa.array(sorted({one.position for one in new}), pa.int64())
    faults: list[tuple[str, str]] = []
    for batch in pq.ParquetFile(staged.path).iter_batches(BATCH_ROWS):
        rows = batch.filter(pc.is_in(batch.column(POSITION), chosen))
        if rows.num_rows:
            asked = resolver.resolve(rows).select(["replaces", "row_id", "code", "detail"])
            faults += [
                (row["row_id"], row["detail"]) for row in asked.to_pylist() if row["code"] and row["replaces"] in keys
            ]
    if faults:
        raise RunError(
            Exit.USAGE,
            f"rerun.set: {len(faults)} of {len(new)} rejected pictures cannot be made so, for example row "
            f"{faults[0][0]}: {faults[0][1]}; nothing was ordered. Choose other rows with select.*, or other cells",
        )


def merged(orders: Orders, new: list[NewOrder]) -> dict[str, Order]:
    """Return the orders with the new ones among them."""
    return {**orders, **{one.order.old_key: one.order for one in new}}


def rejected_to_make(store: ObjectStore, scratch: Path, memory_mb: int) -> frozenset[str]:
    """Return the keys that the planned run makes again although people rejected them. Raises StoreError."""
    decisions = newest_decisions(store)
    if not len(decisions):
        return frozenset()
    with open_database(scratch, memory_mb) as connection:
        connection.register("decided", decisions)
        found = connection.execute(f"""
            SELECT DISTINCT key FROM verdicts JOIN decided USING (key)
            WHERE verdict = 'make' AND decision = '{REJECTED}'""").fetchall()
    return frozenset(key for (key,) in found)
