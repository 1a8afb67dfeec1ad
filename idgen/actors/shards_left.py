"""Shards left when a run stops: how the face actor marks them and the sampling actor reads the mark."""

import pyarrow as pa

from idgen.manifest.shards import ShardRef
from idgen.schemas import ANALYSED


def all_left(shard: ShardRef) -> pa.Table:
    """One row that stands for a whole shard which a stop came before: its size instead of a position, no key.

    Thousands of shards may be left; reading each of them would outlast any grace period.
    """
    empty = {field.name: "" for field in ANALYSED if field.type == pa.string() and not field.nullable}
    mark = {**empty, "shard": shard.name, "position": shard.rows, "image_index": 0, "attempt": 0}
    return pa.Table.from_pylist([mark], schema=ANALYSED)


def rows_left(table: pa.Table) -> int | None:
    """Return how many rows the stop left of a shard that was not begun, None for a shard that was."""
    return int(table["position"][0].as_py()) if table["key"][0].as_py() == "" else None
