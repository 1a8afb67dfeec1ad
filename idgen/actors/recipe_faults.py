"""Weights that cannot be used: rows of that recipe fail, rows of other recipes are made.

Only what loading itself says is one. What the machine is at fault for ends the run: weights that a node lacks or has
otherwise, a GPU that is not there, a disk that fails, memory that is short, and all that another node can load.
"""

import os
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

from idgen.actors.monitor import Monitor
from idgen.errors import Code, Exit, MachineError, RowError, RunError
from idgen.machine_faults import machine_fault


class RecipeFaults:
    """What an actor could not load; nothing is tried twice, as loading takes seconds to minutes."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._known: dict[Hashable, str] = {}

    @contextmanager
    def told(self, what: Hashable) -> Iterator[None]:
        """Load `what` in this block: RunError(USAGE) comes out as RowError(WEIGHTS_UNUSABLE), and the monitor hears it.

        Raises RunError(UNAVAILABLE) for what is the machine's fault. The RowError is not to be kept: the frames of
        loading in its context keep half of a model alive.
        """
        self.refuse_known(what)
        try:
            yield
        except RunError as error:
            if error.exit_code != Exit.USAGE or isinstance(error, MachineError):
                raise
            if fault := machine_fault(error):
                raise _of_the_machine(error, fault) from error
            self._known[what] = error.message
        else:
            self._monitor.loaded(str(what))
        self.refuse_known(what)

    def refuse_known(self, what: Hashable) -> None:
        """Raise RowError(WEIGHTS_UNUSABLE) when `what` failed before; RunError once another actor has loaded it."""
        if what not in self._known:
            return
        if self._monitor.fault(str(what), self._known[what]):
            raise RunError(
                Exit.UNAVAILABLE,
                f"the node {os.uname().nodename} cannot load what another actor could load: {self._known[what]}",
            )
        raise RowError(Code.WEIGHTS_UNUSABLE, self._known[what])


def _of_the_machine(error: RunError, fault: BaseException) -> RunError:
    said = f"{error.message} ({type(fault).__name__}: {str(fault).partition(chr(10))[0][:200]})"
    if isinstance(fault, ImportError):
        return MachineError(Exit.USAGE, f"the node {os.uname().nodename} lacks a library: {said}")
    return RunError(Exit.UNAVAILABLE, f"the node {os.uname().nodename} failed: {said}")
