"""Reads decisions.csv, as the gallery exports it and as spreadsheets store it again; strictly, with line numbers."""

import io
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from idgen.errors import Exit, RunError
from idgen.manifest.csv_rows import SEPARATORS, CsvError, Row, csv_rows
from idgen.manifest.option_files import read_text
from idgen.reviews.decisions import DECISIONS, MAX_REASON_CHARS, Decision
from idgen.suggestions import suggestion
from idgen.values import MAX_ID_CHARS

HEADER = ("key", "row_id", "decision", "reason", "date")
MAX_FILE_BYTES = 256 * 2**20
_KEY = re.compile(r"[0-9a-f]{32}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_FORMULA_GUARD = re.compile(r"^'(?=[=+\-@])")
"""What the gallery and other careful exports put before a cell that spreadsheets would take for a formula."""
_SHOWN = 5
_AHEAD = timedelta(days=1)
"""Clocks differ; a decision of next year would win over all that are made until then."""


def read_decisions(path: str) -> list[Decision]:
    """Return the file's decisions in its order. Raises RunError(USAGE) that names the first wrong lines."""
    found: list[Decision] = []
    faults: list[str] = []
    lines = io.StringIO(read_text("decisions", path, MAX_FILE_BYTES), newline="")
    separator, names = _header(lines.readline())
    lines.seek(0)
    try:
        rows = csv_rows(iter(lines), separator)
        next(rows)  # the header
        for number, row in rows:
            try:
                found.append(_decision(row, names))
            except ValueError as error:
                faults.append(f"line {number}: {error}")
    except CsvError as error:
        raise RunError(Exit.USAGE, f"decisions: {path}: {error}") from None
    faults += _contradictions(found)
    if faults:
        more = f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        raise RunError(Exit.USAGE, f"decisions: {path}: {'; '.join(faults[:_SHOWN])}{more}. Nothing was recorded")
    return found


def clean(text: str) -> str:
    """Return text on one line: runs of control characters become a blank."""
    return _CONTROL.sub(" ", text).strip()


def _header(line: str) -> tuple[str, list[str]]:
    """Return the separator and the column names. Raises RunError(USAGE) unless they are HEADER, in any order."""
    split = [(separator, [name.strip().strip('"') for name in line.split(separator)]) for separator in SEPARATORS]
    separator, names = max(split, key=lambda pair: len(set(HEADER) & set(pair[1])))
    strangers = [name for name in names if name not in HEADER]
    missing = [name for name in HEADER if name not in names]
    if strangers and len(strangers) < len(names):
        raise RunError(
            Exit.USAGE, f"decisions: line 1: there is no column {strangers[0][:40]!r}{suggestion(strangers[0], HEADER)}"
        )
    if missing or len(names) != len(HEADER):
        raise RunError(Exit.USAGE, f"decisions: line 1 must be the header {','.join(HEADER)}")
    return separator, names


def _decision(row: Row, names: Sequence[str]) -> Decision:
    """Return one line's decision. Raises ValueError that says what is wrong with it."""
    if len(row) != len(names):
        raise ValueError(f"{len(row)} cells, the header has {len(names)}")
    cells = {name: _FORMULA_GUARD.sub("", cell or "") for name, cell in zip(names, row, strict=True)}
    key, decision = cells["key"].strip(), cells["decision"].strip()
    reason, row_id = clean(cells["reason"]), clean(cells["row_id"])
    if not _KEY.fullmatch(key):
        raise ValueError("key: must be 32 digits 0-9 and a-f")
    if decision not in DECISIONS:
        raise ValueError(f"decision: there is no {decision[:40]!r}{suggestion(decision, DECISIONS)}")
    if len(reason) > MAX_REASON_CHARS:
        raise ValueError(f"reason: has {len(reason)} characters, allowed are {MAX_REASON_CHARS}")
    if len(row_id) > MAX_ID_CHARS:
        raise ValueError(f"row_id: has {len(row_id)} characters, allowed are {MAX_ID_CHARS}")
    return Decision(key=key, row_id=row_id, decision=decision, reason=reason, decided_at=_date(cells["date"].strip()))


def _date(text: str) -> datetime:
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("date: must be ISO 8601, as in 2026-11-30T09:15:00Z") from None
    try:
        date = date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except OverflowError:  # its zone takes it out of the years 1 to 9999
        raise ValueError(f"date: {text} cannot be") from None
    if date > datetime.now(UTC) + _AHEAD:
        raise ValueError(f"date: {text} has not come yet")
    return date


def _contradictions(decisions: Sequence[Decision]) -> list[str]:
    """Return what the file says in two ways of one picture at one moment: nobody could tell which one counts."""
    first: dict[tuple[str, datetime], Decision] = {}
    faults = []
    for one in decisions:
        before = first.setdefault((one.key, one.decided_at), one)
        if before.decision != one.decision:
            faults.append(f"picture {one.key} is accepted and rejected at the same moment")
    return faults
