"""A recipe's fault is tried once and told; a node's fault ends the run."""

import errno

import pytest

from idgen.actors.monitor import MonitorState
from idgen.actors.recipe_faults import RecipeFaults
from idgen.errors import Code, Exit, MachineError, RowError, RunError
from idgen.networks import checkpoints


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


class Broken:
    """A reader of weights that meets what a machine does to it."""

    def __init__(self, error):
        self.error = error

    def __call__(self, *_args, **_named):
        raise self.error


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (OSError(errno.EIO, "Input/output error"), Exit.UNAVAILABLE, "the node .* failed: .*Input/output"),
        (OSError(errno.ESTALE, "Stale file handle"), Exit.UNAVAILABLE, "the node .* failed: .*Stale"),
        (PermissionError(errno.EACCES, "Permission denied"), Exit.UNAVAILABLE, "the node .* failed: .*Permission"),
        (MemoryError(), Exit.UNAVAILABLE, "the node .* failed: .*MemoryError"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), Exit.UNAVAILABLE, "the node .* failed"),
        (ImportError("No module named 'sentencepiece'"), Exit.USAGE, "the node .* lacks a library: .*sentencepiece"),
    ],
)
def test_a_machine_s_fault_that_a_reader_meets_costs_no_row(error, code, words, monkeypatch, tmp_path):
    file = tmp_path / "a.safetensors"
    file.write_bytes(b"")
    monkeypatch.setattr(checkpoints, "load_file", Broken(error))
    monitor = MonitorState(0)
    faults = RecipeFaults(monitor)
    with pytest.raises(RunError, match=words) as told, faults.told("group"):
        checkpoints.read(file)
    assert told.value.exit_code == code
    assert monitor.progress().faults == ()


def test_the_file_s_own_fault_stays_the_recipe_s(tmp_path):
    file = tmp_path / "cuda out" / "a.safetensors"
    file.parent.mkdir()
    file.write_bytes(b"no weights at all")
    with pytest.raises(RowError, match="is not a valid"), RecipeFaults(MonitorState(0)).told("group"):
        checkpoints.read(file)


def test_an_actor_that_alone_cannot_load_what_others_can_ends_the_run():
    monitor = MonitorState(0)
    with RecipeFaults(monitor).told("group"):
        pass
    with pytest.raises(RunError, match="cannot load what another actor could load: no such") as error:
        Loading(monitor).load(RunError(Exit.USAGE, "no such adapter"))
    assert error.value.exit_code == Exit.UNAVAILABLE
    assert monitor.progress().faults == ()


def test_the_same_is_found_out_when_the_others_come_later():
    monitor = MonitorState(0)
    sick = Loading(monitor)
    with pytest.raises(RowError):
        sick.load(RunError(Exit.USAGE, "no such adapter"))
    with RecipeFaults(monitor).told("group"):
        pass
    assert monitor.progress().faults == (), "the weights can be used"
    with pytest.raises(RunError, match="cannot load what another actor could load"):
        sick.faults.refuse_known("group")
    assert sick.tried == 1
