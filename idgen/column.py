"""The form of one line of columns.py, and the rules that such a line must follow."""

from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass
from enum import Enum, StrEnum

import pyarrow as pa

from idgen.errors import RowError
from idgen.list_values import uris
from idgen.values import Cell, Check, RecipeFacts, uri

Option = float | str
"""A value of a column of role OPTION; whole numbers and truth values count as float."""


class Scope(StrEnum):
    """What a column does to a picture; the values are the letters of the table in manifests/README.md."""

    ROW = "K"
    """It decides pixels: it is in the key, and may differ inside a batch."""
    BATCH = "B"
    """It decides pixels, and all rows of a batch have the same."""
    CARRIED = "–"
    """It decides no pixels, and is not in the key."""


class Role(Enum):
    """Which code reads a column. LABEL and OPTION need no other code to be checked, keyed and handed on."""

    LABEL = "text in its own column of ledger, results and gallery"
    OPTION = "a number or word: `option` of SampleRow (scope ROW) or Bucket (scope BATCH), sampling/rows.py"
    MAP = "address of a ready-made map of the control `control`"
    SCALE = "a strength: of the control `control`, else of adapters"
    IMAGE = "address of another input image"
    TOLD_SIZE = "a number of SDXL's size conditioning, in the order of its time ids"
    SETTING = "a field of its own in SampleRow, Bucket, or what the faces stage is asked for"
    TEXT = "a prompt: manifest/resolve.py"
    PHOTO = "the person's photos: manifest/references.py"
    PICTURE = "number, seed and name of the row's pictures: manifest/resolve.py"
    ID = "the row's own name: manifest/resolve.py"
    RECIPE = "the recipe's name: manifest/settings.py"


class Need(StrEnum):
    """What a recipe must have so that a column changes anything; recipes/column_rules.py knows which recipes do."""

    ADAPTER = "an adapter"
    LORA = "an adapter that has a LoRA"
    SHORTCUT = "a faceid_plusv2 adapter"
    LOOK = "an adapter that looks at a picture"
    FACE_PICTURE = "an adapter of face pictures"
    CONTROL = "a control"
    START_IMAGE = "init_image_uri"
    FACE_PASS = "face_pass settings and an adapter that knows the face"
    TOLD_SIZES = "a base with size conditioning"


def in_words(name: str) -> str:
    """Return a column's name as people read it: "Face similarity"."""
    return name.replace("_", " ").capitalize()


def unchecked(name: str, _value: Cell, _recipe: RecipeFacts) -> object:
    """Takes the place of a missing check."""
    raise ValueError(f"column {name} has no check")


@dataclass(frozen=True, slots=True)
class Column:
    """One column. Raises ValueError for a line that makes no sense, when columns.py is imported."""

    name: str
    type: pa.DataType
    scope: Scope
    role: Role
    _: KW_ONLY
    meaning: str
    """Its text in manifests/README.md."""
    check: Check = unchecked
    """Returns the value that the other rooms get, or raises RowError: values.py."""
    common: bool = False
    """Rows of every recipe that has what `need` says may set it; of others, only where the recipe lists it."""
    need: Need | None = None
    control: str = ""
    """The control (in recipes' `controls`) that it belongs to: without this control it has no effect."""
    neutral: Cell = None
    """The value that leaves the picture as it is without the column, and so leaves the key as it is."""
    neutral_as: str = ""
    """The column that holds the neutral value."""
    title: str = ""
    """What the gallery calls it; empty = its name in words."""

    def __post_init__(self) -> None:
        if fault := self._fault() or self._neutral_fault() or self._number_fault():
            raise ValueError(f"idgen/columns.py: column {self.name}: {fault}")

    def _fault(self) -> str:
        if self.check is unchecked:
            return "it has no check; give it one of idgen/values.py, or any row could hold anything"
        if not self.meaning:
            return "it has no `meaning`, which manifests/README.md shows"
        if self.role in _FREE_ROLES and (self.scope is Scope.CARRIED) != (self.role is Role.LABEL):
            return "labels are carried, options decide pixels: role and scope contradict each other"
        if self.scope is Scope.CARRIED and self.role not in _CARRIED_ROLES and self.name != _CARRIED_SETTING:
            return f"{self.role.name} decides pixels, and so is in the key: role and scope contradict each other"
        if self.role is Role.LABEL and (self.type != pa.string() or not self.common):
            return "labels must be text and common"
        if self.role is Role.OPTION and pa.types.is_nested(self.type):
            return "options are numbers, words or truth values"
        if self.is_image and self.check is not uri:
            return "images are given by their addresses; check them with values.uri"
        if self.role is Role.MAP and not self.control:
            return "a map must belong to a control"
        if self.scope is Scope.CARRIED and (self.neutral is not None or self.neutral_as):
            return "a carried column is not in the key, so it has no neutral value"
        return ""

    def _neutral_fault(self) -> str:
        """Put the neutral value through the column's check: rows' values, which it is compared with, went there too."""
        if self.neutral is None:
            return ""
        try:
            object.__setattr__(self, "neutral", self.check(self.name, self.neutral, _NO_RECIPE))
        except RowError as error:
            return f"its own check refuses its neutral value: {error.detail}"
        return ""

    def _number_fault(self) -> str:
        """Find a column of whole numbers whose check passes others: the key would have them, the sampler whole ones."""
        for probe in _BROKEN if pa.types.is_integer(self.type) else ():
            try:
                passed = self.check(self.name, probe, _NO_RECIPE)
            except (RowError, TypeError):
                continue
            if type(passed) is not int:
                return f"it holds whole numbers, and its check lets {probe!r} through; take values.whole_number"
        return ""

    @property
    def is_image(self) -> bool:
        """Whether it holds the address of an image that a row brings besides its references."""
        return self.role in (Role.IMAGE, Role.MAP)

    @property
    def holds_addresses(self) -> bool:
        """Whether its values are addresses, which may hold signatures: they are never written as they are."""
        return self.check in _ADDRESS_CHECKS

    @property
    def is_row_by_row(self) -> bool:
        """Whether manifest/resolve.py handles it row by row, not once for many rows."""
        return self.is_image or self.role in _ROW_BY_ROW

    @property
    def shown_as(self) -> str:
        """What the gallery calls it."""
        return self.title or in_words(self.name)


_CARRIED_ROLES = (Role.ID, Role.LABEL, Role.PICTURE)
_CARRIED_SETTING = "output_format"
"""It decides how pixels are stored, not which."""
_BROKEN = (
    "0.5",
    *(sign * (whole + 0.5) for whole in (*range(64), *(int(64 * 1.25**n) for n in range(100))) for sign in (1, -1)),
)
"""Numbers that are not whole, some in every range that a column may have."""


@dataclass(frozen=True, slots=True)
class _NoRecipe:
    """Stands for any recipe where a check is tried on import."""

    max_side_px: int = 2**31
    size_multiple_px: int = 1
    adapters: tuple[()] = ()


_NO_RECIPE = _NoRecipe()
_ADDRESS_CHECKS = (uri, uris)
_FREE_ROLES = (Role.LABEL, Role.OPTION)
_ROW_BY_ROW = (Role.ID, Role.LABEL, Role.PHOTO, Role.TEXT, Role.PICTURE)


def checked(columns: Iterable[Column]) -> tuple[Column, ...]:
    """Return the columns. Raises ValueError where two of them contradict each other, or one lacks another."""
    found = tuple(columns)
    names = [column.name for column in found]
    strengths = [column.control for column in found if column.role is Role.SCALE]
    of_control: dict[tuple[Role, str], str] = {}
    for column in found:
        place = f"idgen/columns.py: column {column.name}"
        if names.count(column.name) > 1:
            raise ValueError(f"{place} appears twice")
        if column.neutral_as and column.neutral_as not in names:
            raise ValueError(f"{place}: neutral_as names an unknown column")
        if column.role is Role.MAP and column.control not in strengths:
            raise ValueError(f"{place}: its control has no column of role SCALE")
        if column.control and column.role in (Role.SCALE, Role.MAP):
            first = of_control.setdefault((column.role, column.control), column.name)
            if first != column.name:
                raise ValueError(f"{place}: its control {column.control} has {first} as {column.role.name} already")
    return found
