"""A recipe's fault is tried once and told; a node's fault ends the run."""

import pytest

from idgen.actors.monitor import MonitorState
from idgen.actors.recipe_faults import RecipeFaults
from idgen.errors import Code, Exit, MachineError, RowError, RunError


class Loading:
    """Loads by raising, and counts how often."""

    def __init__(self, monitor):
        self.faults, self.tried = RecipeFaults(monitor), 0

    def load(self, error):
        with self.faults.told("group"):
            self.tried += 1
            raise error


def test_weights_that_do_not_load_are_tried_once_and_told():
    monitor = MonitorState(0)
    loading = Loading(monitor)
    for _ in range(2):
        with pytest.raises(RowError) as error:
            loading.load(RunError(Exit.USAGE, "no such adapter"))
        assert (error.value.code, error.value.detail) == (Code.WEIGHTS_UNUSABLE, "no such adapter")
    assert loading.tried == 1
    assert monitor.progress().faults == ("no such adapter",)
    with loading.faults.told("another"):
        loading.tried += 1
    assert loading.tried == 2


@pytest.mark.parametrize(
    "error",
    [
        RunError(Exit.UNAVAILABLE, "this node has other weights"),
        MachineError(Exit.USAGE, "sees no GPU"),
        KeyError("a bug"),
    ],
)
def test_other_errors_pass(error):
    monitor = MonitorState(0)
    with pytest.raises(type(error)):
        Loading(monitor).load(error)
    assert monitor.progress().faults == ()
