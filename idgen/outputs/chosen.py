"""What is published of a picture that was made and checked, or that it is made again."""

from collections.abc import Callable
from dataclasses import dataclass

from idgen.checks.looking import Findings
from idgen.checks.picture import FinishedPicture
from idgen.schemas import PictureRow


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is published of a picture: its row with the seed that made it, and what the checks found."""

    picture: PictureRow
    finished: FinishedPicture
    found: Findings
    seconds: float
    """Of sampling, all its tries together."""
    tries_made: str = ""
    """As the ledger has it."""


Choose = Callable[[PictureRow, FinishedPicture, Findings, float], Chosen | None]
"""Told of each picture that was made and checked, with the seconds it took; None = it is made again."""
