"""Runs all checks on one finished picture."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from idgen.checks.picture import FinishedPicture
from idgen.checks.protocol import Check, Finding
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

    A check that breaks costs no picture: that is a warning, `check_failed`.
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
    try:
        return check.look(finished.pixels, finished.facts)
    except Exception as error:
        log.exception("the check %s broke", name)
        return Finding(name, None, "warn", (f"check_failed: {name} ({type(error).__name__})",))
