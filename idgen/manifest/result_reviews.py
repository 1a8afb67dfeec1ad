"""What the results say of decisions: the newest of each picture, what stood before it, and near duplicates in a row.

Made from tables `outcomes` and `newest` of results.py. "Before" is the picture that this one replaces, else the newest
other picture that the ledger has of the same row_id and image index.
"""

import duckdb

from idgen.manifest.asked_pictures import ORDINALS_PER_ROW
from idgen.outputs.ledger import reading_ledger
from idgen.reviews.decisions import ACCEPTED, newest_decisions
from idgen.stores.protocol import ObjectStore

NO_DEPTH = 1_000_000
"""Of an earlier picture of the row that the present one does not replace."""
_MOST_LINKS = 1000


def load_earlier(connection: duckdb.DuckDBPyConnection, asked: str) -> None:
    """Make tables `of_row` (what rows say of each asked picture) and `earlier` (other pictures in their places).

    `asked` is the relation of asked.parquet; needs `verdicts` and the registered ledger. earlier: ordinal, key, depth
    (1 = the picture that is replaced, 2 = what that one replaced, NO_DEPTH = only of the same row), had_name.
    """
    with reading_ledger():
        connection.execute(f"""
            CREATE OR REPLACE TABLE of_row AS
            SELECT v.ordinal, v.key, v.verdict = 'refused' AS refused, a.row_id, a.image_index, a.num_images,
                coalesce(a.output_name, '') AS output_name, a.replaces
            FROM verdicts v JOIN {asked} a ON a.position * {ORDINALS_PER_ROW} + a.image_index = v.ordinal;

            CREATE OR REPLACE TABLE links AS SELECT DISTINCT key, replaces FROM ledger_rows WHERE replaces <> '';

            CREATE OR REPLACE TABLE made_of_row AS
            SELECT DISTINCT l.row_id, l.image_index, l.key, l.output_name
            FROM ledger_rows l SEMI JOIN of_row r
                ON r.row_id = l.row_id AND r.image_index = l.image_index AND r.row_id <> r.key
            WHERE l.status = 'ok';

            CREATE OR REPLACE TABLE earlier AS
            WITH RECURSIVE replaced(ordinal, key, depth) AS (
                SELECT ordinal, replaces, 1 FROM of_row WHERE replaces <> ''
                UNION ALL
                SELECT r.ordinal, l.replaces, r.depth + 1 FROM replaced r JOIN links l USING (key)
                WHERE r.depth < {_MOST_LINKS})
            SELECT ordinal, key, min(depth) AS depth, bool_or(had_name) AS had_name FROM (
                SELECT ordinal, key, depth, true AS had_name FROM replaced
                UNION ALL
                SELECT r.ordinal, m.key, {NO_DEPTH}, m.output_name = r.output_name
                FROM of_row r JOIN made_of_row m USING (row_id, image_index) WHERE m.key <> r.key)
            GROUP BY ordinal, key""")


def load_reviews(connection: duckdb.DuckDBPyConnection, store: ObjectStore, near_bits: int) -> None:
    """Make tables `decided` (by key), `previous` and `near` (by ordinal). Raises StoreError.

    An acceptance of pixels that were replaced since then says nothing about the new ones.
    """
    connection.register("decisions", newest_decisions(store))
    connection.execute(f"""
        CREATE OR REPLACE TABLE decided AS
        SELECT d.key, d.decision, d.reason, d.decided_by, d.decided_at FROM decisions d LEFT JOIN newest n USING (key)
        WHERE NOT coalesce(d.decision = '{ACCEPTED}' AND n.image_replaced AND d.decided_at < n.finished_at, false);

        CREATE OR REPLACE TABLE previous AS
        SELECT e.ordinal, e.key, n.image_path FROM earlier e JOIN newest n ON n.key = e.key AND n.status = 'ok'
        QUALIFY row_number() OVER (PARTITION BY e.ordinal ORDER BY e.depth, n.finished_at DESC, e.key) = 1;

        CREATE OR REPLACE TABLE near AS
        WITH hashed AS (
            SELECT ordinal, ordinal // {ORDINALS_PER_ROW} AS position, ordinal % {ORDINALS_PER_ROW} AS image_index,
                TRY_CAST('0x' || perceptual_hash AS UBIGINT) AS bits
            FROM of_row JOIN newest USING (key)
            WHERE num_images > 1 AND status = 'ok' AND length(perceptual_hash) = 16)
        SELECT a.ordinal, min(b.image_index)::INTEGER AS near_duplicate_of
        FROM hashed a JOIN hashed b ON a.position = b.position AND b.image_index < a.image_index
            AND bit_count(xor(a.bits, b.bits)) <= {int(near_bits)}
        GROUP BY a.ordinal""")
    connection.unregister("decisions")
