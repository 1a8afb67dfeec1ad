"""From a cell to a checked value: the checks of columns.py, each a RowError(BAD_VALUE) that names its column.

Text that came from CSV or JSONL is cast here, value by value, so one bad cell refuses its own row and no other. Details
name the column and the rule; text is never repeated, because a shifted CSV row has prompts in the oddest columns.
"""

import math
import re
import unicodedata
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Protocol, TypeAlias

import numpy as np

from idgen.errors import Code, RowError

Cell: TypeAlias = Any
"""What a manifest's cell holds: text from CSV and JSONL, any Arrow value from Parquet."""


class _Named(Protocol):
    @property
    def name(self) -> str:
        """What it is called in the recipe."""
        ...


class RecipeFacts(Protocol):
    """What checks ask of a recipe (recipes/recipe.py)."""

    @property
    def max_side_px(self) -> int:
        """The longest side it can make."""
        ...

    @property
    def size_multiple_px(self) -> int:
        """Of which both sides are multiples."""
        ...

    @property
    def adapters(self) -> Sequence[_Named]:
        """Those whose strengths a row may set."""
        ...


Check = Callable[[str, Cell, RecipeFacts], Cell]
"""Takes the column's name, a cell that is not null, and the row's recipe."""

MAX_PROMPT_CHARS = 4000
MAX_URI_CHARS = 4096
MAX_ID_CHARS = 256
MAX_IMAGES = 1000
MAX_TRIES = 8
MAX_SEED = 2**63 - 1
MIN_SIDE_PX = 64
FORMATS = ("png", "jpeg", "webp")

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_FACE_SELECT = re.compile(r"largest|center|best|index:(?:0|[1-9][0-9]{0,2})", re.ASCII)
_NAME_SEGMENT = re.compile(r"(?!\.)[A-Za-z0-9._-]{1,64}", re.ASCII)
_WHOLE = re.compile(r"\s*[+-]?[0-9]{1,20}\s*", re.ASCII)
_MAX_SEGMENTS = 4
_EXACT = 2.0**53
"""From here on a float64 is no longer one whole number, but the nearest one it can hold."""
_TRUE, _FALSE = frozenset({"true", "1", "yes"}), frozenset({"false", "0", "no"})


def bad(name: str, rule: str) -> RowError:
    """Return the error for a value of column `name` that breaks `rule`."""
    return RowError(Code.BAD_VALUE, f"{name}: {rule}")


def text(max_chars: int) -> Check:
    """Check for text of one line."""

    def check(name: str, value: Cell, recipe: RecipeFacts) -> str:
        """Return the checked value; RowError that names the column otherwise."""
        if not isinstance(value, str):
            raise bad(name, "must be text")
        if len(value) > max_chars:
            raise bad(name, f"has {len(value)} characters, allowed are {max_chars}")
        if not value.isprintable() and _CONTROL.search(value):
            raise bad(name, "holds a line break or another control character")
        return value

    return check


def looked_up(name: str, value: Cell, recipe: RecipeFacts) -> str:
    """Return the name of a recipe as it is: manifest/settings.py looks it up, and refuses it with a code of its own."""
    return str(value)


def prompt(name: str, value: Cell, recipe: RecipeFacts) -> str:
    """Return a prompt in NFC, so that one text has one key however its accents are stored."""
    checked: str = _PROMPT_TEXT(name, value, recipe)
    _check_not_empty_word(name, checked)
    return checked if checked.isascii() else unicodedata.normalize("NFC", checked)


_PROMPT_TEXT = text(MAX_PROMPT_CHARS)
_ADDRESS_TEXT = text(MAX_URI_CHARS)


def uri(name: str, value: Cell, recipe: RecipeFacts) -> str:
    """Return an address without blanks around it. What may be fetched is decided where it is fetched (sources/).

    Refused: what no machine here can take for an address, though it looks like one.
    """
    found: str = _ADDRESS_TEXT(name, value.strip() if isinstance(value, str) else value, recipe)
    _check_not_empty_word(name, found)
    for pattern, rule in _NO_ADDRESS:
        if pattern.match(found):
            raise bad(name, rule)
    return found


_NO_ADDRESS = (
    (re.compile(r"[A-Za-z]:[\\/]|\\\\", re.ASCII), "is a Windows path; write the path that the workers see"),
    (re.compile(r"//[^/]+\.[A-Za-z]{2,}/", re.ASCII), "begins with // and has no scheme; write https:// before it"),
    (re.compile(r"~[^/]*/"), "begins with ~, which is a different folder for every user; write the whole path"),
    (re.compile(r"file:(?!/)", re.IGNORECASE), "is a file URI without a full path; write file:///folder/photo.jpg"),
)  # fmt: skip


def _check_not_empty_word(name: str, value: str) -> None:
    """Refuse the words that programs write for an empty cell: nobody asks for a picture of "nan"."""
    if value.strip().casefold() in _EMPTY_WORDS:
        raise bad(name, "is a word that programs write for an empty cell (nan, NULL, None); leave it empty")


_EMPTY_WORDS = frozenset({"nan", "null", "none", "<na>", "n/a", "#n/a", "nat", "undefined"})


def whole_number(low: int, high: int) -> Check:
    """Check for a whole number in low..high; 30.0 counts as one (pandas writes integer columns with gaps so)."""

    def check(name: str, value: Cell, recipe: RecipeFacts) -> int:
        """Return the checked value; RowError that names the column otherwise."""
        number = _number(name, value)
        if not low <= number <= high:
            raise bad(name, f"must be {low} to {high}")
        if number != int(number):
            raise bad(name, "must be a whole number")
        if isinstance(number, float) and number >= _EXACT:
            raise bad(name, "is too large for an exact float; write it as text or int64")
        return int(number)

    return check


def number(low: float, high: float) -> Check:
    """Check for a finite number in low..high, rounded to float32."""

    def check(name: str, value: Cell, recipe: RecipeFacts) -> float:
        """Return the checked value; RowError that names the column otherwise."""
        return float32(name, value, low, high)

    return check


def side(name: str, value: Cell, recipe: RecipeFacts) -> int:
    """Return a width or height the recipe can make, pixels."""
    pixels: int = whole_number(MIN_SIDE_PX, recipe.max_side_px)(name, value, recipe)
    if pixels % recipe.size_multiple_px:
        raise bad(name, f"must be a multiple of {recipe.size_multiple_px}")
    return pixels


def one_of(*allowed: str) -> Check:
    """Check for one of a few words."""

    def check(name: str, value: Cell, recipe: RecipeFacts) -> str:
        """Return the checked value; RowError that names the column otherwise."""
        if value not in allowed:
            raise bad(name, f"must be one of {', '.join(allowed)}")
        return str(value)

    return check


def boolean(name: str, value: Cell, recipe: RecipeFacts) -> bool:
    """Return a truth value; from text true/false, yes/no, 1/0."""
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word not in _TRUE | _FALSE:
        raise bad(name, "must be true or false")
    return word in _TRUE


def face_select(name: str, value: Cell, recipe: RecipeFacts) -> str:
    """Return largest, center, best or index:N."""
    if not (isinstance(value, str) and _FACE_SELECT.fullmatch(value)):
        raise bad(name, "must be largest, center, best or index:N")
    return value


def output_name(name: str, value: Cell, recipe: RecipeFacts) -> str:
    """Return the shop's file name, without extension: at most 4 plain segments joined by /."""
    segments = value.split("/") if isinstance(value, str) else [""]
    if len(segments) > _MAX_SEGMENTS or not all(_NAME_SEGMENT.fullmatch(segment) for segment in segments):
        raise bad(
            name, "at most 4 segments of A-Z a-z 0-9 . _ - joined by /, none with a leading dot, 64 characters each"
        )
    return "/".join(segments)


def _number(name: str, value: Cell) -> float | int:
    """Return a finite number; whole ones stay exact, since seeds do not fit a float."""
    if isinstance(value, str):
        try:
            value = int(value) if _WHOLE.fullmatch(value) else float(value.replace("_", "?"))
        except ValueError:
            raise bad(name, "must be a number") from None
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if not isinstance(value, float | Decimal) or not math.isfinite(value):
        raise bad(name, "must be a finite number")
    return int(value) if isinstance(value, Decimal) and value == int(value) else float(value)


def float32(name: str, value: Cell, low: float, high: float, hint: str = "") -> float:
    """Return a number in low..high as a float32 column holds it; RowError with `hint` otherwise."""
    exact = _number(name, value)
    if not min(low, float(np.float32(low))) <= exact <= high:  # 0.01 of a float32 column is less than 0.01
        raise bad(name, f"must be {low:g} to {high:g}{hint}")
    return float(np.float32(exact)) + 0.0  # -0.0 and 0.0 make the same picture
