"""What a check is: it looks at one finished picture and says one thing about it.

To add one: a file in this room, a line in table.py. Its column in ledger, results and gallery follows from `column`.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

import pyarrow as pa

from idgen.checks.picture import PictureFacts, Pixels

Verdict = Literal["ok", "warn", "reject"]
"""warn: the picture may be used, a person should look. reject: it is held back. Both are told among the picture's
warnings."""


@dataclass(frozen=True, slots=True)
class FindingColumn:
    """The column of a check's values; null where the check found nothing to say."""

    name: str
    type: pa.DataType
    meaning: str
    better: Literal["higher", "lower", ""] = ""
    """Which side of a bound is the good one (gates.py); empty = no number that a bound could judge."""
    warn: float | None = None
    """Bound that every run has unless recipe or run say otherwise. Where the number is from stands beside it."""
    network: Literal["judge", "safety", ""] = ""
    """The network of the run's own that measures it (weights/instruments.py); empty = pixels, or the recipe's pack."""
    of_white: bool = False
    """Measured only where the picture is asked for on a white ground."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check says of one picture."""

    name: str
    """The value in the check's column."""
    value: float | int | str | bool | None
    verdict: Verdict = "ok"
    detail: tuple[str, ...] = ()
    """Why it is not ok, each as `code: words`: at least one then, and none when it is ok."""
    broke: bool = False
    """There is no value because the check, or what it measures with, broke: another moment might have one."""


class Check(Protocol):
    """One judgement on finished pictures. It runs in the publishing threads, several at once: it keeps no state."""

    @property
    def column(self) -> FindingColumn:
        """The column of its values."""
        ...

    def look(self, picture: Pixels, facts: PictureFacts) -> Finding:
        """Return what the check says of the picture ([H, W, 3] uint8, read-only)."""
        ...
