"""Which picture each name of the manifest should show: the newest that may be shown, else the one before it.

May be shown: what people did not reject and `images.publish` allows. Copies of pictures that people rejected, or that a
gate holds back, are to be withdrawn; copies of others stay, even if `images.publish` would not make them today.

A rejected picture's name in its own ledger row counts as well, whatever the manifest asks for now: its row may have got
another name, or be gone. Such a name is only looked after where its copy still shows the rejected picture.
"""

from collections.abc import Iterable, Iterator
from itertools import groupby

import duckdb
import pyarrow as pa

from idgen.outputs.named import NamedPicture, NamedSlot, named_path
from idgen.outputs.publishing import HELD, Publish
from idgen.reviews.decisions import ACCEPTED, REJECTED

_BATCH_ROWS = 16_384
_OWN_DEPTH = 0
_ALLOWED = {"ok": "true", "not_held": f"p.verdict <> '{HELD}'", "accepted": "false"}


class Names:
    """The names of one run's pictures; `shown_at` fills while `slots` is read."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, publish: Publish, unseen: pa.Table) -> None:
        """`unseen`: keys of pictures that no name shows until they are accepted (outdated_rejections)."""
        self._connection, self._publish, self._unseen = connection, publish, unseen
        self.shown_at: dict[int, str] = {}
        """Ordinal of a picture that its name should show -> the copy's path."""

    def slots(self) -> Iterator[NamedSlot]:
        """Yield what each name should show, and must not show. Needs `of_row`, `earlier`, `newest`, `decided`."""
        for ordinal, group in groupby(self._candidates(), key=lambda row: int(str(row["ordinal"]))):
            candidates = list(group)
            slot = _slot(candidates) if ordinal >= 0 else _slot_of_ledger(candidates)
            if slot.shown and slot.shows_newest:
                self.shown_at[ordinal] = slot.shown.named_path
            if slot.shown or slot.hidden:
                yield slot

    def load(self, missing: Iterable[str]) -> None:
        """Make table `named` (ordinal, named_path) of pictures that their names show; `missing` are not there."""
        gone = set(missing)
        there = {ordinal: path for ordinal, path in self.shown_at.items() if path not in gone}
        columns = {"ordinal": pa.array(list(there), pa.int64()), "named_path": pa.array(there.values(), pa.string())}
        self._connection.register("names_there", pa.table(columns))
        self._connection.execute("CREATE OR REPLACE TABLE named AS SELECT * FROM names_there")
        self._connection.unregister("names_there")

    def _candidates(self) -> Iterator[dict[str, object]]:
        """Yield every picture that a name may show, of each name the newest first."""
        self._connection.register("unseen", self._unseen)
        held_back = f"p.verdict = '{HELD}'" if self._publish != "ok" else "false"
        rows = self._connection.sql(f"""
            SELECT c.ordinal, c.output_name, c.image_index, c.num_images, c.depth = {_OWN_DEPTH} AS is_newest,
                p.image_path, p.image_bytes, p.image_sha256, p.finished_at,
                coalesce(d.decision = '{ACCEPTED}', {_ALLOWED[self._publish]} AND u.key IS NULL) AS may_show,
                coalesce(d.decision = '{REJECTED}', {held_back}) AS must_go,
                coalesce(d.decision = '{REJECTED}', false) AS is_rejected
            FROM (SELECT ordinal, key, output_name, image_index, num_images, {_OWN_DEPTH} AS depth FROM of_row
                  WHERE output_name <> '' AND NOT refused
                  UNION ALL
                  SELECT r.ordinal, e.key, r.output_name, r.image_index, r.num_images, e.depth
                  FROM of_row r JOIN earlier e USING (ordinal)
                  WHERE r.output_name <> '' AND NOT r.refused AND e.had_name) c
            JOIN newest p ON p.key = c.key AND p.status = 'ok' AND p.image_path <> ''
            LEFT JOIN decided d ON d.key = c.key
            LEFT JOIN unseen u ON u.key = c.key
            ORDER BY c.ordinal, c.depth, p.finished_at DESC""")
        for batch in rows.to_arrow_reader(_BATCH_ROWS):
            yield from batch.to_pylist()


def _slot(candidates: list[dict[str, object]]) -> NamedSlot:
    shown = next((row for row in candidates if row["may_show"]), None)
    pictures = [(row, _picture(row)) for row in candidates]
    found = next((picture for row, picture in pictures if row is shown), None)
    others = [picture for row, picture in pictures if row is not shown]
    return NamedSlot(
        shown=found,
        hidden=tuple(picture for row, picture in pictures if row["must_go"]),
        exact=any(
            found is not None and (one.named_path, one.image_bytes) == (found.named_path, found.image_bytes)
            for one in others
        ),
        shows_newest=shown is not None and bool(shown["is_newest"]),
    )


def _slot_of_ledger(candidates: list[dict[str, object]]) -> NamedSlot:
    """Return what becomes of the name that a rejected picture has in the ledger; nothing is shown there anew."""
    rejected = [_picture(row) for row in candidates if row["is_newest"] and row["is_rejected"]]
    before = next((_picture(row) for row in candidates if row["may_show"]), None)
    same_name = rejected and before and before.named_path == rejected[0].named_path
    return NamedSlot(shown=None, hidden=tuple(rejected), instead=before if same_name else None)


def _picture(row: dict[str, object]) -> NamedPicture:
    path = str(row["image_path"])
    name, index, count = str(row["output_name"]), int(str(row["image_index"])), int(str(row["num_images"] or 1))
    return NamedPicture(
        named_path=named_path(name, index, count, path.rpartition(".")[2]),
        image_path=path,
        image_bytes=int(str(row["image_bytes"])),
        image_sha256=str(row["image_sha256"]),
        finished_at=row["finished_at"],  # type: ignore[arg-type]
    )
