"""The first few rows of each code with what is wrong with them, for the terminal."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pyarrow.parquet as pq

from idgen.report.run_card import one_line

SHOWN = 3
"""Rows of a code that are named; the files have all."""
_WIDTH = 160

Told = tuple[str, str, str]
"""A row's id, its code and the detail."""


def examples_of(rows: Iterable[Told], counts: Mapping[str, int]) -> dict[str, list[str]]:
    """Return by code the first rows that have a detail, as `row_id: detail`; reads no further than it needs."""
    left = {code: min(SHOWN, count) for code, count in counts.items()}
    found: dict[str, list[str]] = {}
    for row_id, code, detail in rows if any(left.values()) else ():
        if not left.get(code):
            continue
        left[code] -= 1
        words = one_line(detail)
        if words:
            line = f"{one_line(row_id)}: {words}"
            found.setdefault(code, []).append(line if len(line) <= _WIDTH else f"{line[: _WIDTH - 1]}…")
        if not any(left.values()):
            break
    return found


def refused_rows(scratch: Path) -> Iterator[Told]:
    """Yield what the plan refused, in the manifest's order."""
    with (scratch / "refused.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            yield row["row_id"], row["code"], row["detail"]


def failed_pictures(scratch: Path) -> Iterator[Told]:
    """Yield the pictures that this run refused, rejected or failed to make, in the manifest's order."""
    with pq.ParquetFile(scratch / "results.parquet") as results:
        for batch in results.iter_batches(columns=["row_id", "code", "detail", "status"]):
            for row in batch.to_pylist():
                if row["status"] in ("rejected", "failed"):
                    yield row["row_id"], row["code"], row["detail"]


def print_lines(lines: Iterable[str], indent: str) -> None:
    """Print each line behind the indent."""
    for line in lines:
        print(f"{indent}{line}")
