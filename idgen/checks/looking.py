"""Runs all checks on one finished picture."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import pyarrow as pa

from idgen.checks.gates import Gate, passed
from idgen.checks.instruments import NO_INSTRUMENTS, Instruments
from idgen.checks.picture import FinishedPicture, PictureFacts, Pixels
from idgen.checks.protocol import Check, Finding, FindingColumn
from idgen.errors import RowError

log = logging.getLogger(__name__)

PictureVerdict = Literal["", "ok", "warn", "held"]
"""Of a whole picture: the worst that a check says. "" = there is none, or nobody looked."""

_NO_GATE = Gate()


@dataclass(frozen=True, slots=True)
class Findings:
    """What the ledger holds of one picture's checks."""

    values: dict[str, float | int | str | bool | None]
    """By the column's name; columns of checks that did not look are missing."""
    warnings: tuple[str, ...] = ()
    """Each as `code: words`: the sampler's, then the checks'."""
    verdict: PictureVerdict = ""
    broken: frozenset[str] = frozenset()
    """Columns that have no value because something broke: another moment might have one."""


NOTHING_FOUND = Findings({})
"""For a picture that no check looked at."""


def findings(
    finished: FinishedPicture,
    checks: Sequence[Check],
    gates: Mapping[str, Gate] | None = None,
    instruments: Instruments = NO_INSTRUMENTS,
) -> Findings:
    """Return the findings of `checks` on a finished picture as `gates` judge them; of one that was not made, warnings.

    `instruments` take their measures first. What several checks say in the same words is said once.

    A check that breaks, changes the picture or says what its column cannot hold costs no picture: that is a warning,
    `check_failed`. Raises RunError for an instrument that this node cannot have.
    """
    notes = finished.facts.notes
    if isinstance(finished.pixels, RowError):
        return Findings({}, notes)
    bounds = gates or {}
    picture = finished.pixels.view()
    picture.flags.writeable = False
    facts = instruments.measure(picture, finished.facts)
    found = [
        passed(_look(check, picture, facts), check.column, bounds.get(check.column.name, _NO_GATE)) for check in checks
    ]
    details = dict.fromkeys(detail for finding in found for detail in finding.detail)
    verdicts = {finding.verdict for finding in found}
    verdict: PictureVerdict = "held" if "reject" in verdicts else "warn" if "warn" in verdicts else "ok"
    broken = frozenset(finding.name for finding in found if finding.broke)
    return Findings({finding.name: finding.value for finding in found}, (*notes, *details), verdict, broken)


def _look(check: Check, picture: Pixels, facts: PictureFacts) -> Finding:
    name = check.column.name
    try:
        return _sound(check.look(picture, facts), check.column)
    except Exception as error:
        log.exception("the check %s broke", name)
        return Finding(name, None, "warn", (f"check_failed: {name} ({type(error).__name__})",), broke=True)


def _sound(finding: Finding, column: FindingColumn) -> Finding:
    """Return the finding with its value as the column stores it. Raises when it is not one of this check's."""
    if finding.name != column.name:
        raise ValueError(f"a finding {finding.name} of the check {column.name}")
    if not isinstance(finding.detail, tuple) or not all(isinstance(one, str) for one in finding.detail):
        raise TypeError("the detail of a finding is a tuple of texts")
    if finding.verdict != "ok" and not finding.detail:
        raise ValueError(f"{finding.verdict} without a reason")
    return replace(finding, value=pa.scalar(finding.value, column.type).as_py())
