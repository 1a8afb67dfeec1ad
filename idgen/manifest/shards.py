"""Shards: what one task makes. One bucket of one load group, sorted by reference and prompt, one Parquet row group.

`part` names a pass over a run ("" the first, "p2" the next): shard names and files never meet those of another pass.
"""

import io
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from idgen.columns import INIT_IMAGE, MAP_OF, SCALE_OF
from idgen.config import PlannerConfig
from idgen.recipes.recipe import Recipe
from idgen.schemas import PICTURES
from idgen.stores.protocol import ObjectStore
from idgen.stores.reading import reading

ROW_GROUPS_PER_FILE = 200
"""More make the footer that every task reads too long."""

MAX_INPUT_BYTES = 512 * 2**20
"""Of a shard's input images, before they are packed: they all pass from one actor to the next as one block."""

INPUT_IMAGES = {
    INIT_IMAGE: 3,
    SCALE_OF["inpaint"]: 1,
    SCALE_OF["identity"]: 3,
    **dict.fromkeys(MAP_OF.values(), 3),
}
"""Column -> bytes a pixel of the image that the faces stage hands on at the picture's size where the column is set. Of
the second and third these are the mask, from a file or from the init image's transparency, and the face's points."""

REFERENCE = "reference"
"""Extra column of sorted pictures: what tells one person from the next; not written."""

_SORTED = pa.schema([*PICTURES, pa.field(REFERENCE, pa.string())])
_INDEX = pa.schema(
    [
        pa.field("file", pa.string(), nullable=False),
        pa.field("row_group", pa.int32(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("rows", pa.int32(), nullable=False),
        pa.field("load_group", pa.string(), nullable=False),
        pa.field("bucket", pa.string(), nullable=False),
    ]
)


@dataclass(frozen=True, slots=True)
class ShardRef:
    """Where a shard stands: `row_group` of `file` (a path in the store)."""

    file: str
    row_group: int
    name: str
    rows: int
    load_group: str
    bucket: str


@dataclass(frozen=True, slots=True)
class Sizes:
    """Rows of a recipe's shards."""

    batch: int
    smallest: int
    target: int
    """A multiple of `batch`."""


def sizes(recipe: Recipe, planner: PlannerConfig, batch_size: int) -> Sizes:
    """Return the shard sizes for about `planner.shard_seconds` of work; `batch_size` 0 = the recipe's."""
    batch = batch_size or recipe.batch_size
    wanted = planner.shard_seconds / max(recipe.seconds_per_picture, 1e-6)
    rows = int(min(max(wanted, planner.min_shard_rows), planner.max_shard_rows))
    return Sizes(batch, planner.min_shard_rows, max(batch, rows // batch * batch))


def cut(references: NDArray[np.bool_], size: Sizes) -> list[int]:
    """Return the row counts of the shards of one bucket; `references[i]` says that row i begins another reference.

    Every shard but the last is a whole number of batches, so cutting costs none. Of the whole batches in the upper half
    of the target the last one that ends with a reference is taken, so that most people are analysed in one shard.
    """
    cuts: list[int] = []
    done, rows = 0, len(references)
    while rows - done > size.target:
        lowest = max(size.smallest, size.target // 2)
        ends = range(size.target, lowest - 1, -size.batch)
        cuts.append(next((end for end in ends if references[done + end]), size.target))
        done += cuts[-1]
    return [*cuts, rows - done] if rows > done else cuts


def cut_stream(batches: Iterable[pa.RecordBatch], sizes_of: Mapping[str, Sizes]) -> Iterator[pa.Table]:
    """Yield shards (PICTURES) from pictures that come sorted by load group, bucket and REFERENCE.

    Holds one batch and one shard's worth of rows.
    """
    rest: pa.Table | None = None
    for batch in batches:
        table = pa.Table.from_batches([batch]).cast(_SORTED)  # DuckDB knows no "not null"
        rest = yield from _cut_table(table if rest is None else pa.concat_tables([rest, table]), sizes_of, last=False)
    if rest is not None:
        yield from _cut_table(rest, sizes_of, last=True)


def _cut_table(
    table: pa.Table, sizes_of: Mapping[str, Sizes], *, last: bool
) -> Generator[pa.Table, None, pa.Table | None]:
    """Yield the complete shards of `table` and return the rows whose shard may go on in the next batch."""
    new_group = _changes(table, "load_group") | _changes(table, "bucket")
    new_reference = _changes(table, REFERENCE)
    starts = [*np.flatnonzero(new_group).tolist(), table.num_rows]
    for start, end in pairwise(starts):
        size = _bounded(sizes_of[table.column("recipe")[start].as_py()], table, start)
        counts = cut(new_reference[start:end], size)
        open_ended = end == table.num_rows and not last
        done = start
        for count in counts[:-1] if open_ended else counts:
            yield table.slice(done, count)
            done += count
        if open_ended:
            return table.slice(done)
    return None


def _bounded(size: Sizes, table: pa.Table, row: int) -> Sizes:
    """Return `size`, or a smaller one where rows bring input images; within a bucket all bring equally many."""
    depth = sum(depth for name, depth in INPUT_IMAGES.items() if table.column(name)[row].as_py() is not None)
    if not depth:
        return size
    each = depth * table.column("width")[row].as_py() * table.column("height")[row].as_py()
    target = min(size.target, max(size.batch, MAX_INPUT_BYTES // each // size.batch * size.batch))
    return replace(size, smallest=min(size.smallest, target), target=target)


def _changes(table: pa.Table, name: str) -> NDArray[np.bool_]:
    column = table.column(name).combine_chunks()
    changed = pc.not_equal(column[1:], column[:-1]).to_numpy(zero_copy_only=False).astype(bool)
    return np.concatenate([np.ones(min(1, table.num_rows), bool), changed])


def write_shards(
    store: ObjectStore, run_id: str, part: str, tables: Iterable[pa.Table], scratch: Path
) -> list[ShardRef]:
    """Write the shards into the run's plan folder and return where they stand, in order; then write their index."""
    refs: list[ShardRef] = []
    prefix = f"{part}-" if part else ""
    local = scratch / "shards.parquet"
    writer: pq.ParquetWriter | None = None
    for number, table in enumerate(tables):
        file = f"runs/{run_id}/plan/{prefix}shards-{number // ROW_GROUPS_PER_FILE:05d}.parquet"
        if writer is None:
            # small row groups of many columns: dictionaries, statistics and zstd cost thrice the time and save nothing
            writer = pq.ParquetWriter(
                local, PICTURES, compression="snappy", use_dictionary=False, write_statistics=False
            )
        rows = table.select(PICTURES.names)
        writer.write_table(rows, row_group_size=rows.num_rows)
        group, bucket = (rows.column(name)[0].as_py() for name in ("load_group", "bucket"))
        row_group = number % ROW_GROUPS_PER_FILE
        refs.append(ShardRef(file, row_group, f"{prefix}{number:05d}", rows.num_rows, group, bucket))
        if row_group == ROW_GROUPS_PER_FILE - 1:
            writer.close()
            store.put_file(file, local)
            writer = None
    if writer is not None:
        writer.close()
        store.put_file(refs[-1].file, local)
    _write_index(store, run_id, part, refs)
    return refs


def _index_path(run_id: str, part: str) -> str:
    return f"runs/{run_id}/plan/{part}-index.parquet" if part else f"runs/{run_id}/plan/index.parquet"


def _write_index(store: ObjectStore, run_id: str, part: str, refs: list[ShardRef]) -> None:
    columns = [pa.array([getattr(ref, field.name) for ref in refs], field.type) for field in _INDEX]
    data = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(columns, schema=_INDEX), data, compression="zstd")
    store.put(_index_path(run_id, part), data.getvalue())


def shards(store: ObjectStore, run_id: str, part: str = "") -> list[ShardRef]:
    """Return the shards of a pass in plan order. Raises ObjectMissing when it was not planned."""
    table = pq.read_table(io.BytesIO(store.get(_index_path(run_id, part))), schema=_INDEX)
    return [ShardRef(**row) for row in table.to_pylist()]


def read_shard(store: ObjectStore, ref: ShardRef) -> pa.Table:
    """Return a shard's pictures (PICTURES), reading only its row group. Raises StoreError."""
    with reading(f"shard {ref.name} of {ref.file}"):
        filesystem, root = store.filesystem()
        with filesystem.open_input_file(f"{root.rstrip('/')}/{ref.file}") as file, pq.ParquetFile(file) as parquet:
            return parquet.read_row_group(ref.row_group).cast(PICTURES)


def free_part(store: ObjectStore, run_id: str, ledger_files: Iterable[str]) -> str:
    """Return the first pass of this run that has left no trace in plan or ledger: "", "p2", "p3"…

    A run that goes on under its old name after a crash must not write ledger parts over those it has.
    """
    plan, parts = f"runs/{run_id}/plan/", f"ledger/parts/{run_id}/"
    names = [info.path.removeprefix(plan) for info in store.list(plan)]
    used = {name.removesuffix("index.parquet").rstrip("-") for name in names if name.endswith("index.parquet")}
    for path in ledger_files:
        if path.startswith(parts):
            first = path.removeprefix(parts).partition("-")[0]
            used.add(first if first.startswith("p") and first[1:].isdigit() else "")
    number = 1
    while ("" if number == 1 else f"p{number}") in used:
        number += 1
    return "" if number == 1 else f"p{number}"
