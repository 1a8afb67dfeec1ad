"""A number that no run can work with is refused by its name; all that is shipped is let through."""

from dataclasses import replace

import pytest
from doubles.catalogue import ROOT

from idgen.config import Config
from idgen.driver.numbers import ABOVE_ZERO, ZERO_OR_MORE, check_numbers
from idgen.driver.setup import open_run
from idgen.errors import Exit, RunError
from idgen.settings import load_config


def changed(name, value):
    room, key = name.split(".")
    return replace(Config(), **{room: replace(getattr(Config(), room), **{key: value})})


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name in ABOVE_ZERO for value in (0, -1, float("nan"), float("inf"))]
    + [(name, value) for name in ZERO_OR_MORE for value in (-1, float("nan"))]
    + [("run.max_failed_fraction", value) for value in (float("nan"), -0.1, 1.5)],
)
def test_a_number_out_of_its_range_is_named_before_anything_starts(tmp_path, name, value):
    with pytest.raises(RunError, match=f"^{name}={value:g}: ") as error:
        open_run(changed(name, value), tmp_path)
    assert error.value.exit_code == Exit.USAGE


@pytest.mark.parametrize("name", [*ZERO_OR_MORE, "run.max_failed_fraction"])
def test_zero_stays_where_it_means_something(name):
    check_numbers(changed(name, 0))


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_configuration_is_let_through(path):
    check_numbers(load_config([str(path)]))
