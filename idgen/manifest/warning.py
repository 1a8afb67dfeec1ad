"""A warning of the plan."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PlanWarning:
    """Something that may not be as it is meant, in some of the pictures to make."""

    code: str
    """Stable; jobs/README.md lists them."""
    text: str
    pictures: int
    row_id: str
    """Of the first such row."""

    def __str__(self) -> str:
        pictures = f"{self.pictures:,} picture{'s' * (self.pictures != 1)}"
        return f"{self.code}: {self.text} ({pictures}, for example row {self.row_id})"
