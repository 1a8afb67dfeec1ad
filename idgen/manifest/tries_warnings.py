"""The plan's warning about tries that no gate asks for."""

from pathlib import Path

import duckdb

from idgen.manifest.asked_pictures import ORDINAL
from idgen.manifest.database import parquet
from idgen.manifest.reading import POSITION, StagedManifest
from idgen.manifest.warning import PlanWarning


def idle_tries(
    connection: duckdb.DuckDBPyConnection, staged: StagedManifest, scratch: Path, chosen: str
) -> list[PlanWarning]:
    """Return a warning where rows ask for several tries, but nothing holds a picture of their recipe back."""
    if "tries" not in staged.schema.names:
        return []
    ((pictures, row_id),) = connection.execute(f"""
        SELECT count(*), arg_min(a.row_id, c.ordinal)
        FROM {parquet(scratch / "asked.parquet")} a JOIN {chosen} c ON {ORDINAL} = c.ordinal
        JOIN {parquet(staged.path)} s ON s.{POSITION} = a.position
        WHERE a.tries IS NULL AND try_cast(s.tries AS INTEGER) > 1""").fetchall()
    if not pictures:
        return []
    text = "tries has no effect: nothing holds a picture back; set for example gates.face_similarity.reject"
    return [PlanWarning("tries_unused", text, pictures, row_id)]
