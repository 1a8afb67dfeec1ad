"""Runs all checks on one finished picture."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from idgen.checks.picture import FinishedPicture
from idgen.checks.protocol import Check, Finding, FindingColumn
from idgen.errors import RowError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Findings:
    """What the ledger holds of one picture's checks."""

    values: dict[str, float | int | str | bool | None]
    """By the column's name; columns of checks that did not look are missing."""
    warnings: tuple[str, ...] = ()
    """Each as `code: words`: the sampler's, then the checks'."""


NOTHING_FOUND = Findings({})
"""For a picture that no check looked at."""


def findings(finished: FinishedPicture, checks: Sequence[Check]) -> Findings:
    """Return the findings of `checks` on a finished picture; for one that was not made, only warnings.

    A check that breaks, changes the picture or says what its column cannot hold costs no picture: that is a warning,
    `check_failed`.
    """
    notes = finished.facts.notes
    if isinstance(finished.pixels, RowError):
        return Findings({}, notes)
    found = [_look(check, finished) for check in checks]
    details = [detail for finding in found for detail in finding.detail]
    return Findings({finding.name: finding.value for finding in found}, (*notes, *details))


def _look(check: Check, finished: FinishedPicture) -> Finding:
    assert not isinstance(finished.pixels, RowError)
    name = check.column.name
    picture = finished.pixels.view()
    picture.flags.writeable = False
    try:
        return _sound(check.look(picture, finished.facts), check.column)
    except Exception as error:
        log.exception("the check %s broke", name)
        return Finding(name, None, "warn", (f"check_failed: {name} ({type(error).__name__})",))


def _sound(finding: Finding, column: FindingColumn) -> Finding:
    """Return the finding with its value as the column stores it. Raises when it is not one of this check's."""
    if finding.name != column.name:
        raise ValueError(f"a finding {finding.name} of the check {column.name}")
    if not isinstance(finding.detail, tuple) or not all(isinstance(one, str) for one in finding.detail):
        raise TypeError("the detail of a finding is a tuple of texts")
    if finding.verdict != "ok" and not finding.detail:
        raise ValueError(f"{finding.verdict} without a reason")
    return replace(finding, value=pa.scalar(finding.value, column.type).as_py())
