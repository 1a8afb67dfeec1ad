"""Gates: the bounds that decide whether a picture is fine, is looked at by a person, or is held back.

Three layers, bound by bound; what stands later wins: the check's own (`FindingColumn.warn`, which only warns), the
recipe's `gates`, the run's. A bound that is null switches one of an earlier layer off.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from idgen.checks.protocol import Finding, FindingColumn, Verdict

GateSettings = dict[str, dict[str, float | None]]
"""A check's column -> `warn`, `reject` or both."""

BOUNDS = ("warn", "reject")
_DIGITS = 4


@dataclass(frozen=True, slots=True)
class Gate:
    """The bounds of one check; null = none."""

    warn: float | None = None
    reject: float | None = None


def faults(settings: GateSettings, columns: Mapping[str, FindingColumn]) -> list[str]:
    """Return what is wrong with `gates` of a recipe or run, each in words that begin with the setting."""
    found = []
    for name, bounds in settings.items():
        known = [column for column, one in columns.items() if one.better]
        if name not in known:
            found.append(f"gates: no check {name!r} has bounds; those that do: {', '.join(known)}")
        found += [f"gates.{name}: there is no {word!r}, only warn and reject" for word in bounds if word not in BOUNDS]
        broken = [word for word, bound in bounds.items() if bound is not None and not math.isfinite(bound)]
        found += [f"gates.{name}.{word}: must be a finite number or null" for word in broken]
    return found


def gates_of(layers: list[GateSettings], columns: Mapping[str, FindingColumn]) -> dict[str, Gate]:
    """Return the bounds of every check that has some: its own, then each of `layers` over them."""
    found = {name: Gate(warn=column.warn) for name, column in columns.items() if column.better}
    for layer in layers:
        for name, bounds in layer.items():
            found[name] = replace(found[name], **bounds)
    return {name: gate for name, gate in found.items() if gate != Gate()}


def deciding(gates: Mapping[str, Gate]) -> dict[str, float]:
    """Return the bounds that hold pictures back, by column."""
    return {name: gate.reject for name, gate in sorted(gates.items()) if gate.reject is not None}


def passed(finding: Finding, column: FindingColumn, gate: Gate) -> Finding:
    """Return a check's finding as its gate judges it.

    A check that could not measure, and says why (a verdict of its own), is held where a bound would hold: a picture
    without a face must not pass a gate of likeness.
    """
    value = finding.value
    if value is None:
        holds = gate.reject is not None and finding.verdict != "ok"
        return _judged(finding, "reject", f"held: no {column.name}") if holds else finding
    if isinstance(value, str | bool):
        return finding
    if gate.reject is not None and _beyond(value, gate.reject, column):
        return _judged(finding, "reject", f"held: {column.name} {_told(value, gate.reject, column)}")
    if gate.warn is not None and _beyond(value, gate.warn, column):
        side = "low" if column.better == "higher" else "high"
        return _judged(finding, "warn", f"{column.name}_{side}: {_told(value, gate.warn, column)}")
    return finding


def _beyond(value: float, bound: float, column: FindingColumn) -> bool:
    within = value >= bound if column.better == "higher" else value <= bound
    return not within  # what is no number is beyond every bound


def _told(value: float, bound: float, column: FindingColumn) -> str:
    direction = "below" if column.better == "higher" else "above"
    return f"{value:.{_DIGITS}g} is {direction} {bound:.{_DIGITS}g}"


def _judged(finding: Finding, verdict: Verdict, words: str) -> Finding:
    worse = "reject" if "reject" in (finding.verdict, verdict) else verdict
    return replace(finding, verdict=worse, detail=(*finding.detail, words))
