"""Codes and errors."""

import pickle

import pytest

from idgen.errors import CODES, MAX_DETAIL_CHARS, Code, Exit, RowError, RunError


def test_every_code_says_what_it_means_and_what_to_do():
    assert set(CODES) == set(Code)
    assert all(facts.meaning and facts.what_to_do for facts in CODES.values())


def test_a_rejected_code_is_never_retriable():
    assert not [code for code, facts in CODES.items() if facts.status == "rejected" and facts.retriable]


def test_a_detail_is_one_short_line():
    error = RowError(Code.BAD_VALUE, "width:\n" + "x" * 1000)
    assert "\n" not in error.detail
    assert len(error.detail) <= MAX_DETAIL_CHARS


@pytest.mark.parametrize("error", [RowError(Code.NO_FACE, "why"), RunError(Exit.REFUSED, "why")])
def test_errors_pass_between_processes(error):
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert vars(again) == vars(error)
