"""Weights that cannot be used: the fault of one recipe, whose rows fail while those of others are made.

Only what loading itself says is one. Weights that a node lacks or has otherwise, and a GPU that is not there, are the
machine's fault: the run ends.
"""

from collections.abc import Hashable, Iterator
from contextlib import contextmanager

from idgen.actors.monitor import Monitor
from idgen.errors import Code, Exit, MachineError, RowError, RunError


class RecipeFaults:
    """What an actor could not load; nothing is tried twice, as loading takes seconds to minutes."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._known: dict[Hashable, str] = {}

    @contextmanager
    def told(self, what: Hashable) -> Iterator[None]:
        """Load `what` in this block: RunError(USAGE) comes out as RowError(WEIGHTS_UNUSABLE), and the monitor hears it.

        Raises the RowError before the block when `what` failed already. Not to be kept: the frames of loading in its
        context keep half of a model alive.
        """
        if what not in self._known:
            try:
                yield
                return
            except RunError as error:
                if error.exit_code != Exit.USAGE or isinstance(error, MachineError):
                    raise
                self._known[what] = error.message
            self._monitor.fault(self._known[what])
        raise RowError(Code.WEIGHTS_UNUSABLE, self._known[what])
