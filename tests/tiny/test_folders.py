"""A folder that several need at once is made whole, once."""

import threading

import pytest

from idgen.tiny.folders import made_once


def test_those_that_are_first_at_once_all_get_the_same_whole_folder(tmp_path):
    both_make, got = threading.Barrier(2), []

    def make(draft):
        both_make.wait(30)
        (draft / "last").write_text("made")

    threads = [threading.Thread(target=lambda: got.append(made_once(tmp_path / "x", "last", make))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert got == [tmp_path / "x"] * 2
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert made_once(tmp_path / "x", "last", lambda _: pytest.fail("made again")) == tmp_path / "x"


def test_a_making_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError):
        made_once(tmp_path / "x", "last", lambda _: 1 / 0)
    assert not [*tmp_path.iterdir()]
