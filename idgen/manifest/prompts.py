"""The prompts to encode ahead of a pass: each once per text encoder, without those that are already stored.

Ten million of them fit neither the driver's memory nor one Ray dataset, so they pass through DuckDB into a file of
`scratch`, which is read in blocks.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from duckdb.func import PythonUDFType

from idgen.manifest.asked_pictures import ORDINAL
from idgen.manifest.database import open_database, parquet, quoted
from idgen.outputs.encoded_prompts import digest
from idgen.recipes.recipe import Recipe

BLOCK_PROMPTS = 64
"""One task of the line of prompts; a killed worker encodes at most one of them again."""
_LISTED = 16_384


@dataclass(frozen=True, slots=True)
class TextBlock:
    """Some prompts of one text encoder."""

    name: str
    encoder: str
    prompts: list[str]


def write_prompts(
    recipes: Mapping[str, Recipe],
    encoders: Mapping[str, str],
    chosen: str,
    stored: Callable[[str], Iterable[str]],
    scratch: Path,
    memory_mb: int,
) -> int:
    """Write the prompts that `stored` lacks into `scratch`/prompts.parquet, sorted by encoder; return how many.

    `encoders`: recipe -> its text encoder, only of recipes that want it. `chosen`: planner.TO_MAKE or .RETRIES.
    `stored`: encoder -> digests of the prompts that it need not encode again. With guidance, the row's or the face
    pass's, a negative prompt counts too; none at all is the empty one, with which pieces of prompts are filled up too.
    Needs the `scratch` of `plan`.
    """
    with open_database(scratch, memory_mb) as connection:
        _load_encoders(connection, recipes, encoders)
        _load_stored(connection, encoders, stored)
        connection.create_function("text_digest", _digests, ["VARCHAR"], "VARCHAR", type=PythonUDFType.ARROW)
        ((count,),) = connection.execute(f"""
            COPY (
                WITH pictures AS (
                    SELECT e.encoder, coalesce(a.prompt, '') AS prompt, coalesce(a.negative_prompt, '') AS negative,
                        a.guidance_scale > 1 OR (a.face_pass = 'auto' AND e.face_guidance > 1) AS guided, e.in_pieces
                    FROM {parquet(scratch / "asked.parquet")} a
                    JOIN {chosen} c ON {ORDINAL} = c.ordinal JOIN text_encoders e ON e.recipe = a.recipe),
                wanted AS (
                    SELECT encoder, prompt FROM pictures
                    UNION SELECT encoder, negative FROM pictures WHERE guided
                    UNION SELECT encoder, '' FROM pictures WHERE in_pieces)
                SELECT encoder, prompt FROM (SELECT *, text_digest(prompt) AS digest FROM wanted)
                ANTI JOIN stored_texts USING (encoder, digest) ORDER BY encoder, prompt
            ) TO {quoted(str(scratch / "prompts.parquet"))} (FORMAT parquet)""").fetchall()
    return int(count)


def text_blocks(scratch: Path, prefix: str) -> Iterator[TextBlock]:
    """Yield the prompts that were written, in blocks whose names begin with `prefix`."""
    number = 0
    with pq.ParquetFile(scratch / "prompts.parquet") as file:
        for batch in file.iter_batches(BLOCK_PROMPTS):
            for encoder, rows in groupby(batch.to_pylist(), lambda row: str(row["encoder"])):
                yield TextBlock(f"{prefix}{number:06d}", encoder, [row["prompt"] for row in rows])
                number += 1


def _load_encoders(
    connection: duckdb.DuckDBPyConnection, recipes: Mapping[str, Recipe], encoders: Mapping[str, str]
) -> None:
    connection.execute("""
        CREATE OR REPLACE TABLE text_encoders (
            recipe VARCHAR, encoder VARCHAR, face_guidance FLOAT, in_pieces BOOLEAN)""")
    rows = []
    for name, encoder in encoders.items():
        face_pass, in_pieces = recipes[name].face_pass, recipes[name].long_prompt == "chunks"
        rows.append((name, encoder, None if face_pass is None else face_pass.guidance_scale, in_pieces))
    connection.executemany("INSERT INTO text_encoders VALUES (?, ?, ?, ?)", rows)


def _load_stored(
    connection: duckdb.DuckDBPyConnection, encoders: Mapping[str, str], stored: Callable[[str], Iterable[str]]
) -> None:
    connection.execute("CREATE OR REPLACE TABLE stored_texts (encoder VARCHAR, digest VARCHAR)")
    for encoder in sorted(set(encoders.values())):
        listing = iter(stored(encoder))
        while digests := list(islice(listing, _LISTED)):
            connection.register("listed", pa.table({"digest": digests}))
            connection.execute(f"INSERT INTO stored_texts SELECT {quoted(encoder)}, digest FROM listed")


def _digests(prompts: pa.ChunkedArray) -> pa.Array:
    return pa.array([digest(prompt) for prompt in prompts.to_pylist()], pa.string())
