"""A shard as one row: nothing of it changes, little of it is copied, and two never meet."""

import io

import pyarrow as pa
import pytest

from idgen.actors.packing import pack, unpack
from idgen.schemas import ANALYSED, PACKED


def shard(name="s0", rows=3, crop=b"\x01" * 300_000):
    """A table of ANALYSED whose rows share one crop."""
    empty = {field.name: "" for field in ANALYSED if field.type == pa.string() and not field.nullable}
    fixed = {**empty, "shard": name, "image_index": 0, "attempt": 1, "crops": [("face", [crop])], "warnings": ["w"]}
    return pa.Table.from_pylist([{**fixed, "position": at, "key": f"{name}-{at}"} for at in range(rows)], ANALYSED)


def test_a_shard_is_one_row_and_comes_out_as_it_went_in():
    item = pack(shard())
    assert (item.schema, len(item)) == (PACKED, 1)
    assert item["shard"].to_pylist() == ["s0"]
    found = unpack(item)
    assert found.equals(shard())
    assert found.schema.equals(ANALYSED), "nullability too"


def test_what_rows_share_is_packed_once_and_read_where_it_lies():
    item = pack(shard(rows=50))
    assert item.nbytes < 2 * 300_000
    before = pa.total_allocated_bytes()
    found = unpack(item)
    assert pa.total_allocated_bytes() - before < 100_000
    assert len(found) == 50


def test_a_row_cut_out_of_a_larger_block_is_still_its_own_shard():
    both = pa.concat_tables([pack(shard("s0", 2)), pack(shard("s1", 4))])
    assert unpack(both.slice(1)).equals(shard("s1", 4))
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, both.schema) as writer:  # as it goes from node to node
        writer.write_table(both)
    there = pa.ipc.open_stream(sink.getvalue()).read_all()
    assert unpack(there.slice(0, 1)).equals(shard("s0", 2))


def test_two_shards_in_one_task_are_refused_and_named():
    with pytest.raises(ValueError, match=r"2 shards: \['s0', 's1'\]"):
        unpack(pa.concat_tables([pack(shard("s0")), pack(shard("s1"))]))
