"""The data of a gallery's page: in the page of a small run everything; of a large one what every row needs.

Of a large run, files beside the page hold the rest, and the page loads them when they are shown: `details/<n>.js` all
further columns of PIECE_ROWS rows, `columns/<name>.js` one column of all rows, for an order or a search.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import pyarrow as pa

from idgen.checks.table import COLUMN_OF, FINDING_COLUMNS
from idgen.column import in_words
from idgen.columns import BY_NAME, IMAGES, LABELS
from idgen.errors import CODES, Code
from idgen.report.page_columns import (
    ALL,
    INDEX,
    MEASURES,
    RANKED,
    WHOLE,
    Thumbnails,
    empty_of,
    is_empty,
    packed,
    page_columns,
)
from idgen.report.rows import STATUSES, RunResults

WHOLE_RUN_ROWS = 1_000
"""A run of no more rows is one file, which can be sent by mail."""
PIECE_ROWS = 64
"""A page of cards in manifest order needs one or two files, one in another order one a card: each is about 50 kB."""
REPORT_TO_OUTPUT = "../../../"
"""From runs/<run_id>/report/index.html to the output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageData:
    """What the script of one page reads."""

    run_id: str
    output: str
    """Address of the catalogue, for the commands that the page shows."""
    shown: RunResults
    thumbnails: Thumbnails
    reasons: tuple[str, ...] = ()
    """What a picture may be rejected for."""
    to_output: str = REPORT_TO_OUTPUT
    """From the page to the catalogue's top."""
    full_images: bool = True
    """Whether the full pictures are there, too."""

    @property
    def in_files(self) -> bool:
        """Whether the run is so large that files beside the page hold a part of the data."""
        return int(self.shown.table.num_rows) > WHOLE_RUN_ROWS

    def json(self) -> str:
        """Return the page's own data as JSON that may stand inside a script element."""
        shown = self.shown
        columns = page_columns(shown.table, self.thumbnails, INDEX if self.in_files else ALL)
        codes = sorted({*shown.problems, *shown.table["code"].unique().to_pylist()})
        data = {
            "run_id": self.run_id,
            "output": self.output,
            "catalogue": hashlib.sha256(self.output.encode()).hexdigest()[:16],
            "to_output": self.to_output,
            "full_images": self.full_images,
            "rows": shown.table.num_rows,
            "piece_rows": PIECE_ROWS if self.in_files else 0,
            "whole": WHOLE if self.in_files else (),
            "tally": {**asdict(shown.tally), "unfinished": shown.tally.unfinished, "held": shown.held},
            "statuses": STATUSES,
            "problems": shown.problems,
            "codes": {code: _code_facts(code) for code in codes},
            "columns": {name: packed(values) for name, values in columns.items()},
            "empty": {name: empty_of(name) for name in ALL if empty_of(name) is not None},
            "ranked": RANKED,
            "labels": {name: BY_NAME[name].shown_as for name in LABELS},
            "findings": {column.name: in_words(column.name) for column in FINDING_COLUMNS},
            "measures": {name: COLUMN_OF[name].better for name in MEASURES if _says(shown.table, name)},
            "images": {name: BY_NAME[name].shown_as for name in IMAGES},
            "reasons": self.reasons,
        }
        return json_in_script(data)

    def image_paths(self) -> list[str]:
        """Return the catalogue's paths of all full pictures that the page shows."""
        table = self.shown.table
        paths = {*table["image_path"].to_pylist(), *table["previous_image_path"].to_pylist()}
        return sorted(path for path in paths if path)

    def files(self) -> Iterator[tuple[str, str]]:
        """Yield name and text of each file beside the page, one at a time: together they are many times the page."""
        if not self.in_files:
            return
        table = self.shown.table
        for name, values in page_columns(table, self.thumbnails, WHOLE).items():
            yield _script(f"columns/{name}.js", packed(values))
        rest = [name for name in ALL if name not in INDEX]
        for start in range(0, table.num_rows, PIECE_ROWS):
            columns = page_columns(table.slice(start, PIECE_ROWS), self.thumbnails, rest)
            said = {name: values for name, values in columns.items() if not is_empty(values)}
            yield _script(f"details/{start // PIECE_ROWS:04d}.js", said)


def json_in_script(data: object) -> str:
    """Return JSON in which nothing can end a script or open a tag: without <, > and &, and without line separators."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return re.sub(r"[<>&\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", text)


def _script(name: str, data: object) -> tuple[str, str]:
    """A file that hands its data to the page as one text: no name in the data can mean anything to a script."""
    return name, f"idgenData({json_in_script(name)},{json_in_script(json_in_script(data))})"


def _says(table: pa.Table, name: str) -> bool:
    """Whether any picture was measured."""
    return bool(table.column(name).null_count < table.num_rows)


def _code_facts(code: str) -> dict[str, object]:
    if code not in CODES:  # of a newer idgen, or none
        return {"meaning": code, "what_to_do": "", "retriable": False}
    facts = CODES[Code(code)]
    return {"meaning": facts.meaning, "what_to_do": facts.what_to_do, "retriable": facts.retriable}
