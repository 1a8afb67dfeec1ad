"""What the results say of decisions: the newest of each picture, what stood before it, and near duplicates in a row.

Made from tables `outcomes` and `newest` of results.py. "Before" is the picture that this one replaces, else the newest
other picture that the ledger has of the same row_id and image index, of a run that read a manifest of the same lineage:
row 1 of shoes.csv is not row 1 of shirts.csv.
"""

from collections.abc import Callable, Collection, Sequence

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from idgen.manifest.asked_pictures import ORDINALS_PER_ROW
from idgen.outputs.ledger import reading_ledger
from idgen.reviews.decisions import ACCEPTED, REJECTED

NO_DEPTH = 1_000_000
"""Of an earlier picture of the row that the present one does not replace."""
_MOST_LINKS = 1000
_OF_LEDGER = """
    SELECT DISTINCT l.key, l.row_id, l.image_index, coalesce(CAST(l.settings->>'$.num_images' AS INTEGER), 1)
        AS num_images, l.output_name, l.replaces
    FROM ledger_rows l SEMI JOIN rejected r ON r.key = l.key WHERE l.status = 'ok' AND l.output_name <> ''"""


Kin = Callable[[Collection[str]], Sequence[str]]
"""Of these runs those that read a manifest of the same lineage."""


def load_earlier(connection: duckdb.DuckDBPyConnection, asked: str, decisions: pa.Table, kin: Kin) -> None:
    """Make tables `of_row` (what rows say of each asked picture) and `earlier` (other pictures in their places).

    `asked` is the relation of asked.parquet; needs `verdicts` and the registered ledger. of_row also has each rejected
    picture that had a name, as its ledger rows tell it, under an ordinal below 0. earlier: ordinal, key, depth
    (1 = the picture that is replaced, 2 = what that one replaced, NO_DEPTH = only of the same row), had_name, is_kin
    (of the same row of the same manifest, as far as `kin` knows; the names need no more than had_name).
    """
    connection.register("rejected", decisions.filter(pc.equal(decisions["decision"], REJECTED)))
    with reading_ledger():
        connection.execute(f"""
            CREATE OR REPLACE TABLE of_row AS
            SELECT v.ordinal, v.key, v.verdict = 'refused' AS refused, a.row_id, a.image_index, a.num_images,
                coalesce(a.output_name, '') AS output_name, a.replaces
            FROM verdicts v JOIN {asked} a ON a.position * {ORDINALS_PER_ROW} + a.image_index = v.ordinal
            UNION ALL
            SELECT -row_number() OVER (ORDER BY key, output_name, num_images), key, false, * EXCLUDE (key)
            FROM ({_OF_LEDGER});

            CREATE OR REPLACE TABLE links AS SELECT DISTINCT key, replaces FROM ledger_rows WHERE replaces <> '';

            CREATE OR REPLACE TABLE made_of_row AS
            SELECT DISTINCT l.row_id, l.image_index, l.key, l.output_name, l.run_id
            FROM ledger_rows l SEMI JOIN of_row r
                ON r.row_id = l.row_id AND r.image_index = l.image_index AND r.row_id <> r.key
            WHERE l.status = 'ok'""")
    _load_kin(connection, kin)
    connection.execute(f"""
            CREATE OR REPLACE TABLE earlier AS
            WITH RECURSIVE replaced(ordinal, key, depth) AS (
                SELECT ordinal, replaces, 1 FROM of_row WHERE replaces <> ''
                UNION ALL
                SELECT r.ordinal, l.replaces, r.depth + 1 FROM replaced r JOIN links l USING (key)
                WHERE r.depth < {_MOST_LINKS})
            SELECT ordinal, key, min(depth) AS depth, bool_or(had_name) AS had_name, bool_or(is_kin) AS is_kin FROM (
                SELECT ordinal, key, depth, true AS had_name, true AS is_kin FROM replaced
                UNION ALL
                SELECT r.ordinal, m.key, {NO_DEPTH}, m.output_name = r.output_name, m.run_id IN (FROM kin)
                FROM of_row r JOIN made_of_row m USING (row_id, image_index) WHERE m.key <> r.key)
            GROUP BY ordinal, key""")
    connection.unregister("rejected")


def _load_kin(connection: duckdb.DuckDBPyConnection, kin: Kin) -> None:
    """Make table `kin`: those runs of other pictures in the rows' places that read the same manifest."""
    runs = connection.execute("""
        SELECT DISTINCT m.run_id FROM made_of_row m JOIN of_row r USING (row_id, image_index)
        WHERE m.key <> r.key AND r.ordinal >= 0""").fetchall()
    found = kin([run_id for (run_id,) in runs])
    connection.register("kin_found", pa.table({"run_id": pa.array(found, pa.string())}))
    connection.execute("CREATE OR REPLACE TABLE kin AS SELECT * FROM kin_found")
    connection.unregister("kin_found")


def load_reviews(connection: duckdb.DuckDBPyConnection, decisions: pa.Table, near_bits: int) -> None:
    """Make tables `decided` (by key), `previous` and `near` (by ordinal); `decisions` are those that count.

    An acceptance of pixels that were replaced since then says nothing about the new ones.
    """
    connection.register("decisions", decisions)
    connection.execute(f"""
        CREATE OR REPLACE TABLE decided AS
        SELECT d.key, d.decision, d.reason, d.decided_by, d.decided_at FROM decisions d LEFT JOIN newest n USING (key)
        WHERE NOT coalesce(d.image_sha256 IS NULL AND d.decision = '{ACCEPTED}' AND n.image_replaced
                           AND d.decided_at < n.finished_at, false);

        CREATE OR REPLACE TABLE previous AS
        SELECT e.ordinal, e.key, n.image_path FROM earlier e JOIN newest n ON n.key = e.key AND n.status = 'ok'
        WHERE e.is_kin
        QUALIFY row_number() OVER (PARTITION BY e.ordinal ORDER BY e.depth, n.finished_at DESC, e.key) = 1;

        CREATE OR REPLACE TABLE near AS
        WITH hashed AS (
            SELECT ordinal, ordinal // {ORDINALS_PER_ROW} AS position, ordinal % {ORDINALS_PER_ROW} AS image_index,
                TRY_CAST('0x' || perceptual_hash AS UBIGINT) AS bits
            FROM of_row JOIN newest USING (key)
            WHERE ordinal >= 0 AND num_images > 1 AND status = 'ok' AND length(perceptual_hash) = 16)
        SELECT a.ordinal, min(b.image_index)::INTEGER AS near_duplicate_of
        FROM hashed a JOIN hashed b ON a.position = b.position AND b.image_index < a.image_index
            AND bit_count(xor(a.bits, b.bits)) <= {int(near_bits)}
        GROUP BY a.ordinal""")
    connection.unregister("decisions")
