"""The small Parquet files of reviews/: each is written once, none is ever changed."""

import io

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from idgen.stores.protocol import ObjectExists, ObjectStore
from idgen.stores.reading import reading


def add_file(store: ObjectStore, path: str, table: pa.Table) -> str:
    """Write `table` under `path`, or under the next free name beside it; return the path. Raises StoreError."""
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    stem, number = path.removesuffix(".parquet"), 1
    while True:
        target = path if number == 1 else f"{stem}-{number}.parquet"
        try:
            store.put(target, sink.getvalue(), if_absent=True)
        except ObjectExists:
            number += 1
        else:
            return target


def read_files(store: ObjectStore, folder: str, schema: pa.Schema) -> pa.Table:
    """Return the rows of all files below `folder`, in the order of their paths. Raises StoreError."""
    paths = [found.path for found in store.list(folder) if found.path.endswith(".parquet")]
    if not paths:
        return schema.empty_table()
    with reading(folder):
        filesystem, root = store.filesystem()
        files = [f"{root}/{path}" for path in paths]
        return ds.dataset(files, schema=schema, format="parquet", filesystem=filesystem).to_table()
