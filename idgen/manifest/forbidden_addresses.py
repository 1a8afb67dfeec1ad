"""Pictures whose photos the configuration does not allow to be fetched: refused before anything starts.

Such a refusal has the picture's own key, as if the fetch had refused it: the next run leaves it as it is, and
`rerun.code=[uri_forbidden]` finds it.
"""

from collections.abc import Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from idgen.columns import IMAGES
from idgen.errors import Code, RowError
from idgen.manifest.asked_pictures import ORDINAL
from idgen.manifest.database import parquet
from idgen.manifest.warning import PlanWarning
from idgen.sources.precheck import Precheck

_BATCH_URIS = 16_384


def refuse_forbidden(
    connection: duckdb.DuckDBPyConnection, scratch: Path, chosen: str, foresight: Precheck
) -> list[PlanWarning]:
    """Refuse in table `verdicts` those of the `chosen` pictures (planner.TO_MAKE) with a forbidden address.

    Each distinct address is judged once. Return the warning about local files that are not here, if any are missed.
    """
    images = ", ".join(IMAGES)
    connection.execute(f"""
        CREATE OR REPLACE VIEW addresses AS
        SELECT c.ordinal, a.row_id, a.key, unnest(list_concat(coalesce(a.reference_uris, []), [{images}])) AS uri
        FROM {parquet(scratch / "asked.parquet")} a JOIN {chosen} c ON {ORDINAL} = c.ordinal;
        CREATE OR REPLACE TABLE forbidden_uris (uri VARCHAR, detail VARCHAR);
        CREATE OR REPLACE TABLE missing_uris (uri VARCHAR)""")
    _judge(connection, foresight)
    connection.execute(f"""
        UPDATE verdicts SET verdict = 'refused', code = '{Code.URI_FORBIDDEN}', detail = f.detail
        FROM (SELECT key, min(detail) AS detail FROM addresses JOIN forbidden_uris USING (uri) GROUP BY key) f
        WHERE verdicts.key = f.key AND verdicts.verdict = 'make'""")
    ((pictures, row_id, files, like),) = connection.execute("""
        SELECT count(DISTINCT ordinal), arg_min(row_id, ordinal), count(DISTINCT uri), arg_min(uri, ordinal)
        FROM addresses JOIN missing_uris USING (uri)""").fetchall()
    text = f"{files:,} of the photos are not on this machine, for example {like}"
    return [PlanWarning("photo_missing", text, pictures, row_id)] if pictures else []


def _judge(connection: duckdb.DuckDBPyConnection, foresight: Precheck) -> None:
    """Fill `forbidden_uris` and `missing_uris`."""
    reading = connection.cursor()  # as the other one writes meanwhile
    uris = reading.execute("SELECT DISTINCT uri FROM addresses WHERE uri IS NOT NULL")
    while batch := uris.fetchmany(_BATCH_URIS):
        forbidden: list[tuple[str, str]] = []
        missing: list[str] = []
        for (uri,) in batch:
            try:
                if foresight.is_missing(uri):
                    missing.append(uri)
            except RowError as error:
                forbidden.append((uri, error.detail))
        _insert(connection, "forbidden_uris", forbidden)
        _insert(connection, "missing_uris", [(uri,) for uri in missing])


def _insert(connection: duckdb.DuckDBPyConnection, table: str, rows: Sequence[tuple[str, ...]]) -> None:
    if rows:
        columns = {f"c{number}": pa.array(cells, pa.string()) for number, cells in enumerate(zip(*rows, strict=True))}
        connection.register("judged_uris", pa.table(columns))
        connection.execute(f"INSERT INTO {table} SELECT * FROM judged_uris")
