"""Packs the pixels of a shard, for their way from the faces actor to the sampling actor."""

from typing import ClassVar

import pyarrow as pa

from idgen.schemas import PictureRow


class Pixels:
    """The crops and images of a shard's rows, taken out of the table batch by batch.

    In the table equal ones are stored once; as Python values they would be copied for every row.
    """

    COLUMNS: ClassVar[list[str]] = ["crops", "images"]

    def __init__(self, table: pa.Table) -> None:
        self._table = table.select(self.COLUMNS)
        self._at = {key: at for at, key in enumerate(table["key"].to_pylist())}

    def of(self, row: PictureRow) -> PictureRow:
        """Return the row's columns of pixels."""
        found: PictureRow = self._table.slice(self._at[row["key"]], 1).to_pylist()[0]
        return found
