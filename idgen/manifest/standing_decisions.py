"""The decisions that count: of each picture the newest, while the catalogue has the image that it was made on."""

from collections.abc import Sequence

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from idgen.manifest.database import LEDGER_COLUMNS, register_ledger
from idgen.outputs.ledger import newest_sql, reading_ledger
from idgen.reviews.decisions import REJECTED, newest_decisions
from idgen.stores.protocol import ObjectStore


def standing_decisions(
    connection: duckdb.DuckDBPyConnection, store: ObjectStore, ledger_files: Sequence[str]
) -> pa.Table:
    """Return the decisions that count (DECISION_ROWS). Raises StoreError.

    Those that do not tell their image, from before it was recorded, count for whatever their key has.
    """
    decisions = newest_decisions(store)
    told = decisions.filter(pc.is_valid(decisions["image_sha256"]))
    if not len(told):
        return decisions
    register_ledger(connection, store, ledger_files)
    connection.register("told", told)
    made = f"""(SELECT {LEDGER_COLUMNS}, image_sha256 FROM ledger_rows
                WHERE status = 'ok' AND key IN (SELECT key FROM told))"""
    with reading_ledger():
        outdated = connection.execute(f"""
            SELECT t.key FROM told t LEFT JOIN ({newest_sql(made, "key, image_sha256")}) m USING (key)
            WHERE t.image_sha256 IS DISTINCT FROM m.image_sha256""").fetchall()
    connection.unregister("told")
    keys = pa.array([key for (key,) in outdated], pa.string())
    return decisions.filter(pc.invert(pc.is_in(decisions["key"], value_set=keys)))


def outdated_rejections(store: ObjectStore, standing: pa.Table) -> pa.Table:
    """Return the keys (column `key`) whose newest decision is a rejection that is not among the `standing` decisions.

    What they have now is not rejected, but gets no name before somebody has looked at it: a forced rerun may give all
    but the same picture. Raises StoreError.
    """
    newest = newest_decisions(store)
    gone = pc.invert(pc.is_in(newest["key"], value_set=standing["key"].combine_chunks()))
    return newest.filter(pc.and_(gone, pc.equal(newest["decision"], REJECTED))).select(["key"])
