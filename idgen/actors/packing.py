"""Packs a shard's table into one row, for its way from the faces actor to the sampling actor.

Ray Data hands a stage that asks for GPUs its rows by a number (`map_batches(batch_size=…)`), never a block as it is;
and a number above a block's rows makes it put several blocks, which are shards, into one task. So a shard travels as
one row, and every stage takes one row at a time: one task, one block, one shard, with GPUs and without.
"""

import numpy as np
import pyarrow as pa

from idgen.schemas import PACKED


def pack(table: pa.Table) -> pa.Table:
    """Return a shard's `table` (ANALYSED) as one row of PACKED; its memory is copied once."""
    counted = pa.MockOutputStream()
    _write(table, counted)
    data = pa.allocate_buffer(counted.size())
    _write(table, pa.FixedSizeBufferWriter(data))
    ends = pa.py_buffer(np.array([0, data.size], np.int64))
    cell = pa.Array.from_buffers(pa.large_binary(), 1, [None, ends, data])
    return pa.table([table["shard"][:1], cell], schema=PACKED)


def unpack(item: pa.Table) -> pa.Table:
    """Return the table that `pack` was given, on the same memory. Raises ValueError unless `item` is one shard."""
    if len(item) != 1:
        raise ValueError(f"a task was given {len(item)} shards: {item['shard'].to_pylist()}")
    with pa.ipc.open_stream(item["table"][0].as_buffer()) as reader:
        return reader.read_all()


def _write(table: pa.Table, sink: pa.NativeFile) -> None:
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
