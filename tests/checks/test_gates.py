"""Gates: bounds in layers, and what a picture beyond one is."""

import numpy as np
import pyarrow as pa
import pytest

from idgen.checks import gates
from idgen.checks.gates import Gate, gates_of, passed
from idgen.checks.looking import findings
from idgen.checks.picture import FinishedPicture, PictureFacts
from idgen.checks.protocol import Finding, FindingColumn

LIKENESS = FindingColumn("likeness", pa.float32(), "", better="higher", warn=0.3)
NOISE = FindingColumn("noise", pa.float32(), "", better="lower")
WORD = FindingColumn("word", pa.string(), "")
COLUMNS = {column.name: column for column in (LIKENESS, NOISE, WORD)}


@pytest.mark.parametrize(
    ("column", "gate", "value", "verdict", "words"),
    [
        (LIKENESS, Gate(0.5, 0.3), 0.7, "ok", ()),
        (LIKENESS, Gate(0.5, 0.3), 0.5, "ok", ()),
        (LIKENESS, Gate(0.5, 0.3), 0.4, "warn", ("likeness_low: 0.4 is below 0.5",)),
        (LIKENESS, Gate(0.5, 0.3), 0.2999, "reject", ("held: likeness 0.2999 is below 0.3",)),
        (LIKENESS, Gate(None, 0.3), 0.4, "ok", ()),
        (LIKENESS, Gate(0.5, None), -1.0, "warn", ("likeness_low: -1 is below 0.5",)),
        (LIKENESS, Gate(), -1.0, "ok", ()),
        (LIKENESS, Gate(None, 0.3), float("nan"), "reject", ("held: likeness nan is below 0.3",)),
        (NOISE, Gate(0.5, 2.0), 0.5, "ok", ()),
        (NOISE, Gate(0.5, 2.0), 1.0, "warn", ("noise_high: 1 is above 0.5",)),
        (NOISE, Gate(0.5, 2.0), 3, "reject", ("held: noise 3 is above 2",)),
    ],
)  # fmt: skip
def test_a_value_beyond_a_bound_is_warned_of_or_held(column, gate, value, verdict, words):
    found = passed(Finding(column.name, value), column, gate)
    assert (found.verdict, found.detail, found.name) == (verdict, words, column.name)


def test_what_could_not_be_measured_for_a_reason_is_held_where_a_bound_would_hold():
    no_face = Finding("likeness", None, "warn", ("no_face_found: nobody",))
    assert passed(no_face, LIKENESS, Gate(0.5, None)) == no_face
    held = passed(no_face, LIKENESS, Gate(None, 0.3))
    assert (held.verdict, held.detail) == ("reject", ("no_face_found: nobody", "held: no likeness"))


def test_what_was_not_asked_for_is_not_held():
    nobody = Finding("likeness", None)
    assert passed(nobody, LIKENESS, Gate(0.5, 0.3)) == nobody


def test_later_layers_win_bound_by_bound_and_null_switches_off():
    assert gates_of([], COLUMNS) == {"likeness": Gate(warn=0.3)}
    recipe = {"likeness": {"warn": 0.4, "reject": 0.2}}
    assert gates_of([recipe], COLUMNS) == {"likeness": Gate(0.4, 0.2)}
    run = {"likeness": {"reject": 0.35}, "noise": {"warn": 1.0}}
    assert gates_of([recipe, run], COLUMNS) == {"likeness": Gate(0.4, 0.35), "noise": Gate(1.0, None)}
    assert gates_of([recipe, {"likeness": {"warn": None, "reject": None}}], COLUMNS) == {}


def test_only_bounds_that_hold_decide():
    assert gates.deciding({"noise": Gate(1.0, 2.0), "likeness": Gate(0.3, None)}) == {"noise": 2.0}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"likenes": {"warn": 1.0}}, "gates: no check 'likenes' has bounds; those that do: likeness, noise"),
        ({"word": {"warn": 1.0}}, "gates: no check 'word' has bounds; those that do: likeness, noise"),
        ({"noise": {"reject": float("nan")}}, "gates.noise.reject: must be a finite number or null"),
        ({"noise": {"reject": 1.0, "refuse": 1.0}}, "gates.noise: there is no 'refuse', only warn and reject"),
    ],
)
def test_settings_that_judge_nothing_are_told(settings, said):
    assert gates.faults(settings, COLUMNS) == [said]


class Measures:
    """A check that finds what it is told to."""

    def __init__(self, column, value):
        self.column, self.value = column, value

    def look(self, picture, facts):
        return Finding(self.column.name, self.value)


@pytest.mark.parametrize(
    ("likeness", "noise", "verdict"), [(0.9, 0.0, "ok"), (0.4, 0.0, "warn"), (0.4, 3.0, "held"), (0.1, 0.0, "held")]
)
def test_a_picture_s_verdict_is_its_worst_check_s(likeness, noise, verdict):
    checks = [Measures(LIKENESS, likeness), Measures(NOISE, noise)]
    bounds = {"likeness": Gate(0.5, 0.3), "noise": Gate(None, 2.0)}
    picture = FinishedPicture(np.zeros((4, 4, 3), np.uint8), PictureFacts())
    found = findings(picture, checks, bounds)
    assert found.verdict == verdict
    assert found.values == {"likeness": pytest.approx(likeness), "noise": noise}
