"""A number that no run can work with is refused by its name; all that is shipped is let through."""

import faulthandler
import re
import socket
from dataclasses import fields, is_dataclass, replace

import pytest
from doubles.catalogue import ROOT

from idgen.config import Config
from idgen.driver.number_limits import (
    ABOVE_ZERO,
    BETWEEN,
    DEADLINES,
    LONGEST_S,
    SHARES,
    ZERO_OR_MORE,
    check_numbers,
)
from idgen.driver.setup import open_run
from idgen.errors import Exit, RunError
from idgen.settings import load_config


def changed(name, value):
    room, key = name.split(".")
    return replace(Config(), **{room: replace(getattr(Config(), room), **{key: value})})


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name in (*ABOVE_ZERO, *DEADLINES) for value in (0, -1, float("nan"), float("inf"))]
    + [(name, value) for name in DEADLINES for value in (LONGEST_S + 1, 1e10)]
    + [(name, value) for name in ZERO_OR_MORE for value in (-1, float("nan"), float("inf"))]
    + [(name, value) for name, (first, last) in BETWEEN.items() for value in (first - 1, last + 1)]
    + [("run.max_failed_fraction", value) for value in (float("nan"), -0.1, 1.5)],
)
def test_a_number_out_of_its_range_is_named_before_anything_starts(tmp_path, name, value):
    said = str(value) if name in BETWEEN else f"{value:g}"
    with pytest.raises(RunError, match=f"^{name}={re.escape(said)}: ") as error:
        open_run(changed(name, value), tmp_path)
    assert error.value.exit_code == Exit.USAGE


def test_every_number_of_a_run_has_a_limit():
    rooms = [
        room.name for room in fields(Config) if is_dataclass(getattr(Config(), room.name)) and room.name != "benchmark"
    ]
    numbers = {
        f"{room}.{key.name}"
        for room in rooms
        for key in fields(getattr(Config(), room))
        if key.type in (int, float, int | None, float | None)
    }
    of_its_own_job = {"report.serve", "report.presign_s"}
    shares = {f"run.{name}" for name in SHARES}
    assert numbers == {*ABOVE_ZERO, *DEADLINES, *ZERO_OR_MORE, *BETWEEN, *shares, *of_its_own_job}


@pytest.mark.parametrize("name", [*ZERO_OR_MORE, "run.max_failed_fraction"])
def test_zero_stays_where_it_means_something(name):
    check_numbers(changed(name, 0))


def test_null_is_what_another_setting_says_and_infinity_is_told_not_to_be_a_number_here():
    check_numbers(changed("texts.num_cpus", None))
    check_numbers(changed("texts.num_gpus", None))
    with pytest.raises(RunError, match=r"^run\.deadline_s=inf: must be a finite number, 0 or more$"):
        check_numbers(changed("run.deadline_s", float("inf")))


def test_the_longest_deadline_is_kept_by_every_timer():
    """Above them faulthandler and sockets raise OverflowError, or wait for ever: a poll counts int milliseconds."""
    for name in DEADLINES:
        check_numbers(changed(name, LONGEST_S))
    assert LONGEST_S * 1000 < 2**31
    faulthandler.dump_traceback_later(LONGEST_S, exit=True)
    faulthandler.cancel_dump_traceback_later()
    one, other = socket.socketpair()
    with one, other:
        one.settimeout(LONGEST_S)
        other.sendall(b"x")
        assert one.recv(1) == b"x"


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_configuration_is_let_through(path):
    check_numbers(load_config([str(path)]))
