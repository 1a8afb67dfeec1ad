"""Tries: a picture that a gate holds is made again with the next seed; the best of its tries is kept.

Seeds depend on the row's own seed alone, and a row's verdicts on its own pictures, so that batches, order, a kill or a
resume change nothing: a picture that was not published begins again at its first try. Publishing threads judge, the
sampling thread takes what is to be made again. Sampling does not wait for verdicts while full batches are left.
"""

import json
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b

from idgen.checks.looking import Findings
from idgen.checks.picture import FinishedPicture
from idgen.checks.table import COLUMN_OF
from idgen.errors import Code, RowError
from idgen.outputs.chosen import Chosen
from idgen.schemas import PictureRow

LOOK_S = 0.5


@dataclass(frozen=True, slots=True)
class _Try:
    number: int
    seed: int
    finished: FinishedPicture
    found: Findings

    def rank(self, rank_by: str) -> tuple[bool, bool, float]:
        """The larger the better: not held, measured at all, the measure."""
        value = self.found.values.get(rank_by)
        if isinstance(self.finished.pixels, RowError) or not isinstance(value, int | float) or value != value:
            return self.found.verdict in ("ok", "warn"), False, 0.0
        return self.found.verdict != "held", True, value if COLUMN_OF[rank_by].better == "higher" else -value

    def told(self) -> dict[str, object]:
        """Return what the ledger keeps of it; the seed as text, since JSON's readers are exact only to 2^53."""
        numbers = {name: _short(value) for name, value in self.found.values.items() if COLUMN_OF[name].better}
        return {"seed": str(self.seed), "verdict": self.found.verdict or "failed"} | numbers


@dataclass(slots=True)
class _Row:
    """One picture on its way: its row as it was asked for, how often it was tried, the best try so far."""

    asked: PictureRow
    told: list[dict[str, object]] = field(default_factory=list)
    best: _Try | None = None
    seconds: float = 0.0


class Tries:
    """The tries of one shard's pictures. `judged` is for publishing threads, the rest for the sampling one."""

    def __init__(
        self, rows: Sequence[PictureRow], rank_by: str, extra: Callable[[], bool], deciding: Collection[str] = ()
    ) -> None:
        """`extra` is asked before each further try; False = the run's budget is spent.

        `deciding` are the columns with a bound that holds pictures.
        """
        self._rank_by = rank_by
        self._needed = {rank_by, *deciding}
        self._extra = extra
        self._rows = {row["key"]: _Row(row) for row in rows if (row.get("tries") or 1) > 1}
        self._in_hand: set[str] = set()
        self._again: list[PictureRow] = []
        self._changed = threading.Condition()
        self.extra_pictures = 0

    def submitted(self, pictures: Sequence[PictureRow]) -> None:
        """Note that these are on their way to `judged`: `take` may wait for them."""
        with self._changed:
            self._in_hand.update(row["key"] for row in pictures if row["key"] in self._rows)

    def judged(self, picture: PictureRow, finished: FinishedPicture, found: Findings, seconds: float) -> Chosen | None:
        """Return what is published of a picture that was just made, or None: it is made again.

        `seconds` is what this try took. An error that another moment might not have had ends the picture: which try is
        kept would depend on the moment. So does a measure that holds or ranks the try and could not be taken.
        """
        row = self._rows.get(picture["key"])
        if row is None:
            return Chosen(picture, finished, found, seconds)
        try:
            chosen = self._chosen(row, _Try(len(row.told), picture["seed"], finished, found), seconds)
        except BaseException:
            self._settle(picture["key"], None)
            raise
        number = len(row.told)
        self._settle(picture["key"], _with_seed(row.asked, number) if chosen is None else None)
        return chosen

    def _chosen(self, row: _Row, made: _Try, seconds: float) -> Chosen | None:
        row.seconds += seconds
        error = made.finished.pixels if isinstance(made.finished.pixels, RowError) else None
        if error is not None and error.code != Code.NON_FINITE:
            return _ended(row, made, error)
        if made.found.verdict == "held" and (missing := self._needed & made.found.broken):
            return _ended(row, made, RowError(Code.CHECK_FAILED, ", ".join(sorted(missing))))
        row.told.append(made.told())
        if row.best is None or made.rank(self._rank_by) > row.best.rank(self._rank_by):
            row.best = made
        fine = error is None and made.found.verdict != "held"
        if fine or len(row.told) >= (row.asked.get("tries") or 1):
            best, row.best = row.best, None  # a shard's pictures are not kept until it ends
            kept = _with_seed(row.asked, best.number)
            return Chosen(kept, best.finished, best.found, row.seconds, json.dumps(row.told))
        if not self._extra():
            words = f"{len(row.told)} of {row.asked.get('tries')} tries were made"
            return _ended(row, made, RowError(Code.EXTRA_BUDGET_SPENT, words))
        self.extra_pictures += 1
        return None

    def _settle(self, key: str, again: PictureRow | None) -> None:
        with self._changed:
            self._in_hand.discard(key)
            if again is not None:
                self._again.append(again)
            self._changed.notify_all()

    def take(self, keys: "set[str]", check: Callable[[], None]) -> list[PictureRow]:
        """Return the rows of `keys` that are to be made again, as soon as there are some; [] when none is in hand.

        `check` is called while it waits, and raises when no more verdicts will come.
        """
        while True:
            with self._changed:
                found = [row for row in self._again if row["key"] in keys]
                if found or not self._in_hand & keys:
                    self._again = [row for row in self._again if row["key"] not in keys]
                    return found
                self._changed.wait(LOOK_S)
            check()


def try_seed(seed: int, number: int) -> int:
    """Return the seed of try `number` (from 0, which has the row's own): 0..2^63-1, never that of a next image."""
    if not number:
        return seed
    return int.from_bytes(blake2b(f"try {number} {seed}".encode(), digest_size=8).digest(), "big") >> 1


def _ended(row: _Row, made: _Try, error: RowError) -> Chosen:
    """Return what is published of a picture that has no image; its earlier tries are let go."""
    row.best = None
    return Chosen(row.asked, replace(made.finished, pixels=error), made.found, row.seconds)


def _with_seed(asked: PictureRow, number: int) -> PictureRow:
    return {**asked, "seed": try_seed(asked["seed"], number)}


def _short(value: object) -> object:
    return round(value, 4) if isinstance(value, float) else value
