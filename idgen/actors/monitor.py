"""The monitor, a run's memory: attempt marks, counts, and whether to stop.

One `RunMonitor` per run lives on the driver's node. Ray Data repeats a dead actor's task for ever; the marks end that.
A worker says which keys it is about to try (`begin`) and that it lived through them (`end`). What is still marked when
the same shard begins again was being tried when the worker died: those keys are *suspects* and run alone. A key that
is alone at two deaths is given up; deaths in company do not count, or kills from outside would blame innocents.

`MonitorState` is the plain object; remote_monitor.py makes an actor of it.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from idgen.outputs.publishing import HELD

Stage = Literal["texts", "faces", "sample"]
DEATHS_ALONE = 2
BREAKER_CODES = ("fetch_denied", "fetch_failed", "fetch_timeout", "store_failed", "text_missing")
"""Codes that speak of a store rather than of a row: many in sequence, of different photos, stop the run."""
BARREN_TRIES = 10
"""Tries of a shard that may die outside all marks (while loading, say, or handing faces on) until the run stops."""


@dataclass(frozen=True, slots=True)
class Orders:
    """The answer to a worker that begins a shard."""

    shard_try: int
    suspects: frozenset[str]
    given_up: frozenset[str]
    stop: bool


class Published(NamedTuple):
    """What the monitor gets to know about a ledger row."""

    status: str
    code: str
    photo: str
    """The redacted reference: one missing photo of 500 rows is one failure, not 500."""
    verdict: str = ""
    """The gates'."""


@dataclass(slots=True)
class _ShardMarks:
    tries: int = 0
    barren_tries: int = 0
    in_attempt: tuple[str, ...] = ()
    suspects: set[str] = field(default_factory=set)
    deaths_alone: Counter[str] = field(default_factory=Counter)


class MonitorState:
    """All that one run knows while it runs; every method is one short call per batch or shard."""

    def __init__(self, breaker_failures: int, max_extra_pictures: int = -1) -> None:
        """`max_extra_pictures` -1 = as many as are wanted."""
        self._marks: dict[tuple[Stage, str], _ShardMarks] = {}
        self._statuses: Counter[str] = Counter()
        self._codes: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()
        self._breaker_failures = breaker_failures
        self._failing: set[str] = set()  # photos that a store did not give since it last gave one
        self._max_extra_pictures = max_extra_pictures
        self._extra_pictures = 0
        self._stop_reason = ""
        self._faults: dict[str, str] = {}
        self._loaded: set[str] = set()
        self._deaths = 0
        self._held = 0

    def begin_shard(self, stage: Stage, shard: str) -> Orders:
        """Return the try's number (from 0), who runs alone, who is given up, and whether to stop."""
        marks = self._marks.setdefault((stage, shard), _ShardMarks(tries=-1))
        marks.tries += 1
        marks.barren_tries += 1
        if marks.barren_tries > BARREN_TRIES:
            self.request_stop(
                f"workers died {BARREN_TRIES} times at the start of shard {shard} ({stage}): see Ray's logs"
            )
        if marks.in_attempt:
            self._deaths += 1
            marks.suspects.update(marks.in_attempt)
            if len(marks.in_attempt) == 1:
                marks.deaths_alone[marks.in_attempt[0]] += 1
            marks.in_attempt = ()
            marks.barren_tries = 0  # somebody will be given up for it
        given_up = frozenset(key for key, deaths in marks.deaths_alone.items() if deaths >= DEATHS_ALONE)
        return Orders(marks.tries, frozenset(marks.suspects) - given_up, given_up, bool(self._stop_reason))

    def begin(self, stage: Stage, shard: str, keys: Sequence[str]) -> bool:
        """Mark `keys` as being tried together; return True when the run was asked to stop (then nothing is marked)."""
        if self._stop_reason:
            return True
        marks = self._marks[stage, shard]
        marks.in_attempt = tuple(keys)
        if stage != "faces":  # what was published or encoded stays; a shard's faces are all read again
            marks.barren_tries = 0
        return False

    def end(self, stage: Stage, shard: str) -> None:
        """Say that the worker lived through what it began last."""
        self._marks[stage, shard].in_attempt = ()

    def end_shard(self, stage: Stage, shard: str, counts: dict[str, int]) -> None:
        """Add a finished shard's counts (model loads, encodings, analyses …).

        The number of tries stays: Ray may still repeat the task, and its ledger parts need another name then.
        """
        self._marks[stage, shard].barren_tries = 0
        self.count(counts)

    def count(self, counts: dict[str, int]) -> None:
        """Add work that is done for good, though its shard is not."""
        self._counts.update(counts)

    def published(self, rows: Sequence[Published]) -> None:
        """Count ledger rows just written, in their order. May stop the run (the breaker)."""
        self._statuses.update(row.status for row in rows)
        self._codes.update(row.code for row in rows if row.code)
        self._held += sum(row.verdict == HELD for row in rows)
        for row in rows:
            if row.code in BREAKER_CODES:
                self._failing.add(row.photo)
            else:
                self._failing.clear()
        if len(self._failing) >= self._breaker_failures > 0:
            self.request_stop(f"breaker: {len(self._failing)} files in a row ended with {rows[-1].code}")

    def loaded(self, what: str) -> None:
        """Note that an actor has loaded this: who cannot is at fault himself."""
        self._loaded.add(what)
        self._faults.pop(what, None)

    def fault(self, what: str, message: str) -> bool:
        """Note that a recipe's weights cannot be used: its rows fail, and the run ends with USAGE after the others.

        Returns True, and notes nothing, when another actor has loaded them.
        """
        if what in self._loaded:
            return True
        self._faults[what] = message
        return False

    def take_extra(self) -> bool:
        """Return whether one more picture may be made than was asked for, and count it."""
        if 0 <= self._max_extra_pictures <= self._extra_pictures:
            return False
        self._extra_pictures += 1
        return True

    def stopping(self) -> bool:
        """Return whether the run was asked to stop."""
        return bool(self._stop_reason)

    def request_stop(self, reason: str) -> None:
        """Ask every worker to stop after the batch in hand; the first reason stays."""
        self._stop_reason = self._stop_reason or reason

    def progress(self) -> "Progress":
        """Return what is known now."""
        return Progress(
            statuses=dict(self._statuses),
            codes=dict(self._codes),
            counts=dict(self._counts),
            deaths=self._deaths,
            stop_reason=self._stop_reason,
            faults=tuple(dict.fromkeys(self._faults.values())),
            held=self._held,
        )


@dataclass(frozen=True, slots=True)
class Progress:
    """A picture of the run: ledger rows by status and code, work done, worker deaths seen, why it stops."""

    statuses: dict[str, int]
    codes: dict[str, int]
    counts: dict[str, int]
    deaths: int
    stop_reason: str
    faults: tuple[str, ...] = ()
    """Recipes' weights that cannot be used, a line each."""
    held: int = 0
    """Of the ok ones, those that a gate holds back."""


class Monitor(Protocol):
    """What an actor needs of the monitor; `MonitorState` itself in tests, `RemoteMonitor` on a cluster."""

    def begin_shard(self, stage: Stage, shard: str) -> Orders:
        """See `MonitorState.begin_shard`."""
        ...

    def begin(self, stage: Stage, shard: str, keys: Sequence[str]) -> bool:
        """See `MonitorState.begin`."""
        ...

    def end(self, stage: Stage, shard: str) -> None:
        """See `MonitorState.end`."""
        ...

    def end_shard(self, stage: Stage, shard: str, counts: dict[str, int]) -> None:
        """See `MonitorState.end_shard`."""
        ...

    def count(self, counts: dict[str, int]) -> None:
        """See `MonitorState.count`."""
        ...

    def published(self, rows: Sequence[Published]) -> None:
        """See `MonitorState.published`."""
        ...

    def loaded(self, what: str) -> None:
        """See `MonitorState.loaded`."""
        ...

    def fault(self, what: str, message: str) -> bool:
        """See `MonitorState.fault`."""
        ...

    def take_extra(self) -> bool:
        """See `MonitorState.take_extra`."""
        ...

    def stopping(self) -> bool:
        """See `MonitorState.stopping`."""
        ...
