"""Orders: a picture whose key has one is asked for with another seed, and with other cells, as a new picture.

reviews/orders/<run_id>.parquet, written before the run that first makes them is planned. Every later plan follows them,
so that a run that is killed loses nothing. Of each key the newest order counts.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pyarrow as pa

from idgen.reviews.files import add_file, read_files
from idgen.stores.protocol import ObjectStore

FOLDER = "reviews/orders/"

_ROWS = pa.schema(
    [
        pa.field("old_key", pa.string(), nullable=False),
        pa.field("seed", pa.int64(), nullable=False),
        pa.field("cells", pa.string(), nullable=False),  # JSON object: column -> text of a cell; null = the recipe's
        pa.field("ordered_at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("run_id", pa.string(), nullable=False),
    ]
)


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for in the place of `old_key`: the same row with this seed and these cells."""

    old_key: str
    seed: int
    cells: Mapping[str, str | None] = field(default_factory=dict)
    """Column -> cell, as a text file would have it; None = as if the row had none."""


Orders = Mapping[str, Order]
"""By old_key."""


def add_orders(store: ObjectStore, run_id: str, orders: Sequence[Order]) -> None:
    """Write orders, which count from now on. Call it under the lease. Raises StoreError."""
    now = datetime.now(UTC)
    rows = [
        {
            "old_key": order.old_key,
            "seed": order.seed,
            "cells": json.dumps(dict(order.cells), ensure_ascii=False, sort_keys=True),
            "ordered_at": now,
            "run_id": run_id,
        }
        for order in orders
    ]
    add_file(store, f"{FOLDER}{run_id}.parquet", pa.Table.from_pylist(rows, schema=_ROWS))


def read_orders(store: ObjectStore) -> dict[str, Order]:
    """Return all orders that count. Raises StoreError."""
    rows = read_files(store, FOLDER, _ROWS).sort_by("ordered_at").to_pylist()
    return {row["old_key"]: Order(row["old_key"], row["seed"], json.loads(row["cells"])) for row in rows}
